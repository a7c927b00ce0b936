"""Anybody's table of pictures and opinions, read with patience: names of columns, scales and gaps vary."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.data.datasets.release import is_there, unit_score
from crossiqa_edge.data.datasets.scale import check_scale, likely_scale, taken_as
from crossiqa_edge.data.datasets.tables import number, read_csv
from crossiqa_edge.errors import DatasetError
from crossiqa_edge.imaging.decode import decode

FILE_COLUMNS = ("file", "filename", "file_name", "image", "image_name", "picture", "path", "name")
SCORE_COLUMNS = ("mos", "score", "opinion", "rating", "quality")
REFERENCE_COLUMNS = ("reference", "content", "scene")


@dataclass(frozen=True)
class OwnTable:
    """What a table gave.

    Attributes:
        quality_set: its pictures that are there; the keys are their paths as the table has them.
        files: where each of them lies, in the set's order.
        missing: those that are not there, by key, with the reason.
        notes: what the user should know of how the table was read, one line each.
    """

    quality_set: QualitySet
    files: tuple[Path, ...]
    missing: Mapping[str, str]
    notes: tuple[str, ...]


def read_own_table(path: str | os.PathLike[str], scale: tuple[float, float] | None = None) -> OwnTable:
    """Pictures and opinions from a UTF-8 CSV with a header.

    The column of the picture's path, relative to the table, is the first of ``FILE_COLUMNS`` that is
    there; that of the opinion, of ``SCORE_COLUMNS``; upper and lower case are one. A column of
    ``REFERENCE_COLUMNS`` says which pictures show the same and must not be parted into training and test;
    files with the same bytes are kept together in any case, and with them all that share a reference with
    any of them. Several rows for a picture are several opinions, and their mean is taken.

    Args:
        scale: (worst, best) of the opinions; None takes the narrowest usual one that holds every single
            one of them, or else their own lowest and highest.

    Raises:
        DatasetError: no such table or column, two columns of one name, a row that is too long, an opinion
            that is no number or outside ``scale``, or all opinions the same.
        ConfigError: a scale without extent or end.
    """
    if scale is not None:
        check_scale(scale)
    table = Path(path)
    rows = list(_rows(table))
    if not rows:
        raise DatasetError(f"{table}: not a single picture is listed; check that the file is complete")
    given = [row.opinion for row in rows]
    if min(given) == max(given):
        raise DatasetError(
            f"{table}: every opinion is {given[0]:g}, so there is no order to learn; check the table's column"
        )
    worst_best = scale or likely_scale(given) or (min(given), max(given))
    scores: dict[str, list[float]] = defaultdict(list)
    references: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        scores[row.key].append(unit_score(row.opinion, worst_best, row.where))
        references[row.key].append(row.reference)
    present = {key: table.parent / key for key in scores if is_there(table.parent / key)}
    missing = {key: f"no such file in {table.parent}" for key in scores if key not in present}
    twins = _same_bytes(present)
    contents = _contents(present, references, twins)
    samples = tuple(
        Sample(key, float(np.mean(scores[key])), contents[key], partial(decode, file))
        for key, file in present.items()
    )
    notes = _notes(scores, twins, worst_best, given=scale is not None)
    return OwnTable(
        QualitySet(_printable(table.stem), samples, worst_best),
        tuple(present.values()),
        missing,
        tuple(notes),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    where: str
    key: str
    opinion: float
    reference: str  # empty where the table has none


def _rows(table: Path) -> Iterator[_Row]:
    for where, row in read_csv(table, []):
        file_column = _column(table, row, FILE_COLUMNS)
        score_column = _column(table, row, SCORE_COLUMNS)
        reference_column = _found(table, row, REFERENCE_COLUMNS)
        key = row[file_column].strip()
        if not key:
            raise DatasetError(f"{where}: no picture is named; mend the table")
        reference = "" if reference_column is None else row[reference_column].strip()
        yield _Row(where, key, number(row[score_column], where), reference)


def _printable(name: str) -> str:
    """``name`` as a card may hold it: a file's name can have marks that turn the line's direction."""
    return "".join(letter if letter.isprintable() else "_" for letter in name)


def _notes(
    opinions: Mapping[str, Sequence[float]],
    twins: Mapping[str, str],
    scale: tuple[float, float],
    *,
    given: bool,
) -> list[str]:
    notes = []
    if not given:
        notes.append(f"{taken_as(scale)}; say --scale WORST,BEST if it is another")
    if repeated := sum(len(values) > 1 for values in opinions.values()):
        notes.append(f"{repeated} pictures are listed more than once; the mean of their opinions is taken")
    if twins:
        groups = Counter(twins.values())
        notes.append(
            f"{len(twins)} pictures are {len(groups)} by their bytes; copies are never parted into "
            "training and test"
        )
    return notes


def _column(table: Path, header: Iterable[str], names: Sequence[str]) -> str:
    found = _found(table, header, names)
    if found is None:
        raise DatasetError(
            f"{table}: no column {names[0]!r} (nor {', '.join(names[1:])}); the header has "
            f"{', '.join(header)}"
        )
    return found


def _found(table: Path, header: Iterable[str], names: Sequence[str]) -> str | None:
    known: dict[str, list[str]] = defaultdict(list)
    for column in header:
        known[column.strip().casefold()].append(column)
    found = next((known[name] for name in names if name in known), [])
    if len(found) > 1:
        raise DatasetError(
            f"{table}: two columns of one name, {' and '.join(map(repr, found))}; rename or drop one"
        )
    return found[0] if found else None


def _contents(
    keys: Iterable[str], references: Mapping[str, Sequence[str]], twins: Mapping[str, str]
) -> dict[str, str]:
    """The content of every picture: those are of one that share a reference or their bytes, be it through
    others. It goes by the name of one of its references, or the key of one of its pictures."""
    labels = {key: [name for name in references.get(key, ()) if name] or [key] for key in keys}
    joined: dict[str, str] = {}  # from a label to another of the same content

    def root(label: str) -> str:
        while label in joined:
            joined[label] = joined.get(joined[label], joined[label])  # halves the way for the next time
            label = joined[label]
        return label

    for key, names in labels.items():
        kept = root(labels[twins.get(key, key)][0])
        for merged in map(root, names):
            if merged != kept:
                joined[merged] = kept
    return {key: root(names[0]) for key, names in labels.items()}


def _same_bytes(files: Mapping[str, Path]) -> dict[str, str]:
    """For every picture that has a copy among ``files``, the key of the first with its bytes."""
    by_size: dict[int, list[str]] = defaultdict(list)
    for key, file in files.items():
        by_size[file.stat().st_size].append(key)
    by_bytes: dict[str, list[str]] = defaultdict(list)
    for key in (key for keys in by_size.values() if len(keys) > 1 for key in keys):
        with suppress(OSError):  # the decoder tells why a file cannot be read
            by_bytes[hashlib.sha256(files[key].read_bytes()).hexdigest()].append(key)
    return {key: keys[0] for keys in by_bytes.values() if len(keys) > 1 for key in keys}
