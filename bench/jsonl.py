"""Files of results: one JSON object a line, appended and never rewritten."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crossiqa_edge.errors import InputError, OutputError

Row = dict[str, Any]


def append(path: str | os.PathLike[str], *rows: Row) -> None:
    """Add ``rows`` to the end of a file, making it if need be: all of them, or none if the disk is full.

    Raises:
        OutputError: the file cannot be written.
    """
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    try:
        with Path(path).open("ab", buffering=0) as stream:
            before = stream.tell() if stream.seekable() else None
            try:
                while data:
                    data = data[stream.write(data) :]
            except OSError:
                if before is not None:
                    stream.truncate(before)  # half a row would make all the others unreadable
                raise
    except OSError as error:
        raise OutputError(f"{path}: not written ({error.strerror}); choose another path") from error


def parsed(path: str | os.PathLike[str]) -> Iterator[tuple[str, Row]]:
    """(where it stands, row) for every line that is not blank.

    Raises:
        InputError: no such file, or a line that is no JSON object.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', error)})") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            where = f"{path}, line {number}"
            yield where, _object(line, where)


def _object(line: str, where: str) -> Row:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where}: not JSON; the file was cut off or is no result of ours") from error
    if not isinstance(row, dict):
        raise InputError(f"{where}: no row of results")
    return row
