"""Rows of `crossiqa bench`: what they must hold, and which belong together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from crossiqa_edge.bench.jsonl import Row, parsed
from crossiqa_edge.errors import InputError

FORMAT = 1
_NEEDED = (
    *("run", "model", "backend", "precision", "batch", "sampling", "views"),
    *("latency_ms", "calibration_ms"),
)


def read(path: str | os.PathLike[str]) -> list[Row]:
    """Rows of a file that `crossiqa bench` wrote.

    Raises:
        InputError: no such file, no rows, or a line that is no row of this format.
    """
    rows = [_checked(row, where) for where, row in parsed(path)]
    if not rows:
        raise InputError(f"{path}: no results in it; make some with `crossiqa bench --out {path}`")
    return rows


def latest_run(rows: Sequence[Row]) -> list[Row]:
    """The rows of the run that was appended last."""
    return [row for row in rows if row["run"] == rows[-1]["run"]]


def point_key(row: Row) -> tuple[Any, ...]:
    """What makes two rows of different runs the same point."""
    names = ("model", "precision", "backend", "batch", "sampling", "views", "threads")
    return tuple(row.get(name) for name in names)


def _checked(row: Row, where: str) -> Row:
    if row.get("format") != FORMAT or any(name not in row for name in _NEEDED):
        raise InputError(f"{where}: no result of `crossiqa bench` in format {FORMAT}; measure again")
    return row
