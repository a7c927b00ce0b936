"""Rows of `crossiqa bench`: what they must hold, and which belong together."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from crossiqa_edge.bench.jsonl import Row, append, parsed
from crossiqa_edge.bench.point import in_threads, in_views
from crossiqa_edge.errors import InputError

FORMAT = 1
# What tables, plots and comparisons read; other keys may be absent in rows of before.
_WORDS = ("run", "made", "model", "backend", "precision", "device", "sampling", "package")
_POSITIVE = ("batch", "views", "bytes", "pictures_per_s", "calibration_ms")
_OBJECTS = ("machine", "libraries", "input", "latency_ms", "stages_ms", "accuracy")
_TIMES = ("p50", "p90", "p99", "max")
_STARTS = ("import_ms", "open_ms", "first_ms")
_FIGURES = ("srcc", "plcc", "krcc")


def read(path: str | os.PathLike[str]) -> list[Row]:
    """Rows of a file that `crossiqa bench` wrote.

    Raises:
        InputError: no such file, no rows, or a line that is no row of this format.
    """
    rows = [_checked(row, where) for where, row in parsed(path)]
    if not rows:
        raise InputError(f"{path}: no results in it; make some with `crossiqa bench --out {path}`")
    return rows


def make_ready(path: str | os.PathLike[str]) -> None:
    """Make sure that rows can be appended to ``path``, which is made if need be.

    Raises:
        OutputError: it cannot be written.
        InputError: it holds something else than results.
    """
    append(path)
    if Path(path).is_file() and Path(path).stat().st_size:
        read(path)


def latest_run(rows: Sequence[Row]) -> list[Row]:
    """The rows of the run that was appended last."""
    return [row for row in rows if row["run"] == rows[-1]["run"]]


def point_key(row: Row) -> tuple[Any, ...]:
    """What makes two rows of different runs the same point."""
    names = ("model", "precision", "backend", "batch", "sampling", "views", "threads")
    return tuple(row.get(name) for name in names)


def point_name(row: Row) -> str:
    """What was measured, in words."""
    read = in_views(row["sampling"], row["views"])
    threads = in_threads(row.get("threads"))
    return f"{row['model']} {row['precision']} {row['backend']} batch {row['batch']} {read}{threads}"


def _checked(row: Row, where: str) -> Row:
    bad = "it" if row.get("format") != FORMAT else next(_bad(row), None)
    if bad is not None:
        raise InputError(
            f"{where}: no result of `crossiqa bench` in format {FORMAT}: {bad} is absent or wrong; "
            "measure again"
        )
    return row


def _bad(row: Row) -> Iterator[str]:
    """Names of what is absent, of another type, or no possible figure; meant to be asked for the first."""
    yield from (name for name in _WORDS if not isinstance(row.get(name), str))
    yield from (name for name in _POSITIVE if not _positive(row.get(name)))
    yield from (name for name in _OBJECTS if not isinstance(row.get(name), Mapping))
    yield from (f"latency_ms {name}" for name in _TIMES if not _positive(row["latency_ms"].get(name)))
    interval = row.get("p50_interval_ms")
    if not (isinstance(interval, list) and len(interval) == 2 and all(map(_positive, interval))):
        yield "p50_interval_ms"
    if row.get("threads") is not None and not _positive(row["threads"]):
        yield "threads"
    yield from _bad_accuracy(row["accuracy"])
    yield from _bad_surroundings(row)


def _bad_accuracy(accuracy: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(accuracy.get("set"), str) or not _positive(accuracy.get("n")):
        yield "accuracy"
    for name in _FIGURES:
        value = accuracy.get(name)  # None where it does not exist
        if value is not None and not (_number(value) and abs(value) <= 1):
            yield f"accuracy {name}"


def _bad_surroundings(row: Row) -> Iterator[str]:
    machine, cold, energy = row["machine"], row.get("cold"), row.get("energy_mj_per_picture")
    instructions = machine.get("instructions")
    if not isinstance(instructions, list) or any(name not in machine for name in ("cpu", "cores", "system")):
        yield "machine"
    if cold is not None and not (isinstance(cold, Mapping) and all(_positive(cold.get(n)) for n in _STARTS)):
        yield "cold"
    if not _positive(row["input"].get("pictures")):
        yield "input"
    if energy is not None and not _number(energy):
        yield "energy_mj_per_picture"
    stages = [value for value in row["stages_ms"].values() if value is not None]
    if not (all(map(_number, stages)) and any(map(_positive, stages))):
        yield "stages_ms"
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in row.get("not_told_apart", ())):
        yield "not_told_apart"


def _number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0
