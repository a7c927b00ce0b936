"""What the loaders share: finding the files of a release, reading its tables, reading its numbers.

A loader checks at once that every picture its table names is there: a set that was unpacked by half is
reported when it is opened, not hours into a training run. Pictures are decoded only when asked for.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import dropwhile
from pathlib import Path
from typing import TypeVar

from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.errors import DatasetError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import Frame

_Result = TypeVar("_Result")


def find(root: Path, names: Sequence[str], hint: str) -> Path:
    """The first of ``names`` (paths relative to ``root``) that exists.

    Raises:
        DatasetError: none of them does; the message ends in ``hint``, which says what folder to give.
    """
    for name in names:
        if (root / name).exists():
            return root / name
    missing = "no such folder" if not root.is_dir() else f"no {' or '.join(names)}"
    raise DatasetError(f"{root}: {missing}; {hint}")


class PictureFolder:
    """The pictures of one folder by name, whatever the case: releases mix ``I25.BMP`` and ``i25.bmp``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._files = {path.name.casefold(): path for path in folder.iterdir()}
        except OSError as error:
            raise DatasetError(f"{folder}: cannot be listed ({error.strerror}); check its rights") from error

    def __getitem__(self, name: str) -> Callable[[], Frame]:
        """What reads the picture called ``name``, uint8 (H, W, 3) RGB.

        Raises:
            DatasetError: the folder has no such picture.
        """
        found = self._files.get(name.casefold())
        if found is None:
            raise DatasetError(f"{self._folder}: {name} is missing; unpack the release's archive again")
        return partial(decode, found)


def read_csv(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a comma-separated table with a header, each with ``file:line`` for messages.

    Lines that begin with ``#`` are passed over, but only above the header: ``#1.png`` is a file name.

    Raises:
        DatasetError: the file cannot be read, is not text, or lacks one of ``columns``; a row is short.
    """
    lines = [(line_number, line) for line_number, line in read_lines(path) if line.strip()]
    lines = list(dropwhile(lambda numbered: numbered[1].startswith("#"), lines))
    rows = csv.DictReader(line for _, line in lines)
    header = rows.fieldnames or ()
    absent = [column for column in columns if column not in header]
    if absent:
        found = ", ".join(header) or "nothing"
        raise DatasetError(f"{path}: no column {' or '.join(absent)}; the header has {found}")
    for (line_number, _), row in zip(lines[1:], rows, strict=False):
        if any(row[column] is None for column in columns):
            raise DatasetError(f"{path}:{line_number}: the row is shorter than the header; mend the table")
        yield f"{path}:{line_number}", row


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Numbered lines of a UTF-8 text, byte order mark removed; DatasetError where it cannot be read."""
    try:
        return list(enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1))
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not a UTF-8 text; save the table as CSV again") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); check name and rights") from error


def parsed(read: Callable[[Path], _Result], path: Path) -> _Result:
    """``read(path)`` for a binary table (MATLAB, Excel); DatasetError for all its reader stumbles over."""
    try:
        return read(path)
    except Exception as error:  # third-party parsers raise anything on damaged bytes
        raise DatasetError(f"{path}: damaged or of another format; unpack the release again") from error


def number(value: object, where: str) -> float:
    """``value`` as a finite float; DatasetError naming ``where`` otherwise."""
    try:
        result = float(str(value))
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


def unit_score(value: object, native_range: tuple[float, float], where: str) -> float:
    """An opinion on the release's own scale, (worst, best), as a score on 0..1, higher is better.

    Raises:
        DatasetError: not a number, or outside the scale: then the scale is another than the loader thinks.
    """
    worst, best = native_range
    native = number(value, where)
    score = (native - worst) / (best - worst)
    if not 0.0 <= score <= 1.0:
        raise DatasetError(
            f"{where}: score {native:g} is outside the scale {worst:g}..{best:g} (worst..best)"
        )
    return score


def quality_set(
    name: str, samples: Iterable[Sample], native_range: tuple[float, float], where: Path
) -> QualitySet:
    """A set of at least one sample with unique keys; DatasetError naming ``where`` otherwise."""
    unique: dict[str, Sample] = {}
    for sample in samples:
        if sample.key in unique:
            raise DatasetError(f"{where}: {sample.key} is listed twice; mend the table")
        unique[sample.key] = sample
    if not unique:
        raise DatasetError(f"{where}: not a single picture is listed; check that the file is complete")
    return QualitySet(name, tuple(unique.values()), native_range)
