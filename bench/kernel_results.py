"""Rows of ``kernels.jsonl``: which belong together, which count, and what is still to be measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from crossiqa_edge.bench.jsonl import Row, parsed
from crossiqa_edge.bench.kernel_names import MODES
from crossiqa_edge.bench.rows import latest_run
from crossiqa_edge.errors import InputError

LEFT_OUT = "left out: the time was over"
_SAME = ("device", "driver", "cuda", "commit", "libraries")  # or two rows are no parts of one run


def title(kernel: str, shape: Mapping[str, Any]) -> str:
    """A case in words, for instance ``encoder size tiny batch 1``."""
    return " ".join([kernel, *(f"{name} {value}" for name, value in shape.items())])


def title_of(row: Row) -> str:
    """The case of a row in words."""
    return title(row["kernel"], row["shape"])


def current(rows: Iterable[Row]) -> list[Row]:
    """The rows of each case's last measurement, and its last profiles, in the order of the cases."""
    cases: dict[tuple[str, bool], list[Row]] = {}
    for row in rows:
        of_case = cases.setdefault((title_of(row), "profile" in row), [])
        if of_case and of_case[-1].get("made") != row.get("made"):
            of_case.clear()
        of_case.append(row)
    return [row for of_case in cases.values() for row in of_case]


def timings(rows: Iterable[Row]) -> list[Row]:
    """The rows that are no profiles: times, and failures."""
    return [row for row in rows if "profile" not in row]


def profiles(rows: Iterable[Row]) -> list[Row]:
    """The rows that are profiles."""
    return [row for row in rows if "profile" in row]


def complete(rows: Iterable[Row]) -> set[str]:
    """Titles of the cases in ``rows``, timings or profiles, that nothing was left out of for want of time.

    A failure is a result too, but not what the end of the process cut off.
    """
    last = current(rows)
    left_out = {title_of(row) for row in last if row.get("error") == LEFT_OUT}
    return {title_of(row) for row in last} - left_out - _cut_off(last)


def _cut_off(rows: Sequence[Row]) -> set[str]:
    """Titles of the cases that end between their modes: a candidate lacks the last, and no row says why."""
    began, ended = (
        {(title_of(row), row["candidate"]) for row in rows if row.get("mode") == mode} for mode in MODES
    )
    failed = {(title_of(row), row["candidate"]) for row in rows if "error" in row}
    as_a_whole = {title for title, candidate in failed if candidate is None}
    return {title for title, _ in began - ended - failed} - as_a_whole


def to_go_on_with(path: Path, facts: Row) -> list[Row]:
    """The rows of the last run in ``path``, to which a run with ``facts`` may add its own.

    Raises:
        InputError: no such run, or one of another device, commit or version.
    """
    rows = [row for _, row in parsed(path)]
    if not rows:
        raise InputError(f"{path}: no run to go on with; leave out --resume")
    run = latest_run(rows)
    if facts["commit"] is None:
        raise InputError("which commit this is must be known to go on with a run; set CROSSIQA_COMMIT")
    differing = [name for name in _SAME if run[-1].get(name) != facts[name]]
    if differing:
        raise InputError(f"{path}: its last run has another {differing[0]}; leave out --resume")
    return run


def still_to_do(titles: Sequence[str], rows: Iterable[Row], only: str | None) -> list[bool]:
    """Whether each of ``titles`` is to be measured: it contains ``only`` and is not complete in ``rows``."""
    done = complete(timings(rows))
    return [(only is None or only in name) and name not in done for name in titles]
