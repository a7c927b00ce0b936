"""Rows of results: one JSON object a line, appended and never rewritten."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from crossiqa_edge.errors import InputError, OutputError

Row = dict[str, Any]

FORMAT = 1
_NEEDED = ("run", "model", "backend", "precision", "batch", "sampling", "latency_ms", "calibration_ms")


def append(path: str | os.PathLike[str], rows: Iterable[Row]) -> None:
    """Add ``rows`` to the end of a JSONL file, making it if need be; one write, so a row is whole or absent.

    Raises:
        OutputError: the file cannot be written.
    """
    text = "".join(json.dumps(row) + "\n" for row in rows)
    try:
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise OutputError(f"{path}: not written ({error.strerror}); choose another path") from error


def read(path: str | os.PathLike[str]) -> list[Row]:
    """Rows of a file that ``append`` wrote.

    Raises:
        InputError: no such file, no rows, or a line that is no row of this format.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', error)})") from error
    rows = [_row(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise InputError(f"{path}: no results in it; make some with `crossiqa bench --out {path}`")
    return rows


def latest_run(rows: Sequence[Row]) -> list[Row]:
    """The rows of the run that was appended last."""
    return [row for row in rows if row["run"] == rows[-1]["run"]]


def point_key(row: Row) -> tuple[Any, ...]:
    """What makes two rows of different runs the same point."""
    names = ("model", "precision", "backend", "batch", "sampling", "crops", "threads")
    return tuple(row.get(name) for name in names)


def _row(line: str, where: str) -> Row:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where}: not JSON; the file was cut off or is no result of ours") from error
    if not isinstance(row, dict) or row.get("format") != FORMAT or any(name not in row for name in _NEEDED):
        raise InputError(f"{where}: no result of `crossiqa bench` in format {FORMAT}; measure again")
    return row
