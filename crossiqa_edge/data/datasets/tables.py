"""The tables that opinions come in: CSV, bare text, MATLAB and Excel; whatever is wrong is a DatasetError."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import dropwhile
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from crossiqa_edge.errors import DatasetError, MissingDependencyError

_Result = TypeVar("_Result")


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Numbered lines of a UTF-8 text, without a byte order mark and without empty lines."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not a UTF-8 text; save the table again as such") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); check name and rights") from error
    return [(line_number, line) for line_number, line in enumerate(lines, 1) if line.strip()]


def read_csv(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a comma-separated table with a header, each with ``file:line`` for messages.

    Lines that begin with ``#`` are passed over, but only above the header: ``#1.png`` is a file name.

    Cells that a row lacks at its end are empty, unless they are of ``columns``.

    Raises:
        DatasetError: the file cannot be read, is not text, lacks one of ``columns`` or has two of one name; a
            row is short or long; a quote is not closed.
    """
    rows = _rows(path)
    _, header = next(rows, ("", []))
    absent = [column for column in columns if column not in header]
    if absent:
        found = ", ".join(header) or "nothing"
        raise DatasetError(f"{path}: no column {' or '.join(absent)}; the header has {found}")
    if twice := [column for column, count in Counter(header).items() if column and count > 1]:
        raise DatasetError(f"{path}: two columns are called {twice[0]!r}; rename or drop one")
    least = max((header.index(column) + 1 for column in columns), default=0)
    for where, cells in rows:
        if len(cells) < least:
            raise DatasetError(f"{where}: the row is shorter than the header; mend the table")
        if any(cells[len(header) :]):  # a comma at the end of the line alone misleads nobody
            raise DatasetError(
                f"{where}: the row is longer than the header; quote what has a comma, write decimals with a "
                "point"
            )
        yield where, dict(zip(header, [*cells, *[""] * (len(header) - len(cells))], strict=False))


def _rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """``file:line`` and cells of the header and of every row below it; a quoted cell may span lines."""
    lines = list(dropwhile(lambda numbered: numbered[1].startswith("#"), read_lines(path)))
    rows = csv.reader((line for _, line in lines), strict=True)
    while rows.line_num < len(lines):
        where = f"{path}:{lines[rows.line_num][0]}"
        try:
            cells = next(rows)
        except csv.Error as error:
            raise DatasetError(
                f"{where}: a quote is not closed, or more follows it; quote whole cells, and write a quote "
                "inside one twice"
            ) from error
        yield where, cells


def read_mat(path: Path, variable: str) -> list[Any]:
    """One variable of a MATLAB file (version 7 or older) as a flat list: floats, or strings from cells.

    Raises:
        DatasetError: the file is missing or damaged, or lacks the variable.
        MissingDependencyError: SciPy is not installed.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise MissingDependencyError("reading MATLAB tables", "train") from error
    content: dict[str, npt.NDArray[Any]] = _parsed(
        lambda: loadmat(path, squeeze_me=True, variable_names=[variable]), path
    )
    if variable not in content:
        raise DatasetError(f"{path}: no variable {variable}; unpack the release's archive again")
    values: list[Any] = np.ravel(content[variable]).tolist()
    return values


def read_xlsx(
    path: Path, columns: Sequence[str], sheet: str | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of an Excel sheet below the first row that has all ``columns``, with ``file:row`` for messages.

    Raises:
        DatasetError: the file is missing or damaged, or has no such sheet or header.
        MissingDependencyError: openpyxl is not installed.
    """
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise MissingDependencyError("reading Excel tables", "train") from error

    def cells() -> list[tuple[object, ...]]:
        workbook = load_workbook(path, read_only=True, data_only=True)
        try:
            return list(workbook[sheet or workbook.sheetnames[0]].iter_rows(values_only=True))
        finally:
            workbook.close()

    rows = enumerate(_parsed(cells, path), 1)
    header = next((row for _, row in rows if all(column in row for column in columns)), None)
    if header is None:
        raise DatasetError(f"{path}: no row with the headings {', '.join(columns)}; give the release's table")
    places = {column: header.index(column) for column in columns}
    for row_number, row in rows:
        if row[places[columns[0]]] is not None:
            yield f"{path}:{row_number}", {column: row[place] for column, place in places.items()}


def number(value: object, where: str) -> float:
    """``value`` as a finite float; DatasetError naming ``where`` otherwise."""
    text = str(value)
    try:
        result = math.nan if "_" in text else float(text)  # Python takes 4_0 for 40
    except ValueError:
        result = math.nan
    if not math.isfinite(result):
        raise DatasetError(f"{where}: {value!r} is not a number; mend the table")
    return result


def whole(value: object, where: str) -> int:
    """``value`` as an int; DatasetError naming ``where`` otherwise."""
    result = number(value, where)
    if result != int(result):
        raise DatasetError(f"{where}: {value!r} is not a whole number; mend the table")
    return int(result)


def _parsed(read: Callable[[], _Result], path: Path) -> _Result:
    """``read()``; a DatasetError for whatever a foreign parser raises on missing or damaged bytes."""
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; unpack the release's archive again")
    try:
        return read()
    except Exception as error:
        raise DatasetError(f"{path}: damaged or of another format; unpack the release again") from error
