"""Two runs side by side: is a point faster, slower, or is the difference within the noise?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from crossiqa_edge.bench.jsonl import Row
from crossiqa_edge.bench.rows import point_key, point_name
from crossiqa_edge.errors import InputError

TELLING = 0.1  # a difference that somebody who chooses between two points would care about


@dataclass(frozen=True)
class Change:
    """One point in two runs.

    Attributes:
        before, after: its rows.
        ratio: time after / time before, each relative to the calibration loop of its own run, so that a
            machine that is slower today, or another machine, does not count as a change.
        interval: what the ratio may be, given both runs' intervals of the median.
        srcc_change: accuracy after - before, minus infinity where it exists no more; None where there was
            none before, or where it is that of other pictures.
    """

    before: Row
    after: Row
    ratio: float
    interval: tuple[float, float]
    srcc_change: float | None

    @property
    def verdict(self) -> str:
        """``slower`` or ``faster``; where the interval holds 1, ``same``, or ``undecided`` if it is too wide.

        ``same`` means that a difference of ``TELLING`` would have shown.
        """
        low, high = self.interval
        if low > 1.0 or high < 1.0:
            return "slower" if low > 1.0 else "faster"
        return "same" if low > 1.0 - TELLING and high < 1.0 + TELLING else "undecided"


def compare_runs(before: Sequence[Row], after: Sequence[Row]) -> list[Change]:
    """Every point that both runs have, in the order of ``after``.

    Raises:
        InputError: they have none in common, or timed pictures of another set.
    """
    known = {point_key(row): row for row in before}
    shared = [(known[point_key(row)], row) for row in after if point_key(row) in known]
    if not shared:
        raise InputError("the two runs have no point in common; measure the same models and backends")
    if any(old["input"].get("set") != new["input"].get("set") for old, new in shared):
        raise InputError("the two runs timed pictures of two sets; measure both with the same --data")
    return [_change(old, new) for old, new in shared]


def lost_srcc(changes: Sequence[Change], most: float) -> bool:
    """Whether a point lost more than ``most`` of its SRCC.

    Raises:
        InputError: of a point nothing is known: a check that has nothing to check must not pass.
    """
    gains = [change.srcc_change for change in changes]
    if None in gains:
        raise InputError("a point has no SRCC before, or one on other pictures: whether it lost is not known")
    return min(gain for gain in gains if gain is not None) < -most


def remarks(before: Sequence[Row], after: Sequence[Row]) -> list[str]:
    """What a reader of the changes must know: another machine or input, and points that only one run has."""
    machines = [f"{row['machine']['cpu']}, {row['machine']['cores']} cores" for row in (before[0], after[0])]
    told = [f"two machines: {machines[0]} before, {machines[1]} after"] if len({*machines}) > 1 else []
    if before[0]["input"].get("sha256") != after[0]["input"].get("sha256"):
        told.append("not timed on the same files: with another --limit, or another encoder of JPEG")
    alone = {"before": _only_in(before, after), "after": _only_in(after, before)}
    return told + [f"only {when}, not compared: {point_name(row)}" for when in alone for row in alone[when]]


def _only_in(rows: Sequence[Row], others: Sequence[Row]) -> list[Row]:
    known = set(map(point_key, others))
    return [row for row in rows if point_key(row) not in known]


def _change(before: Row, after: Row) -> Change:
    old, old_low, old_high = _relative(before)
    new, new_low, new_high = _relative(after)
    return Change(before, after, new / old, (new_low / old_high, new_high / old_low), _gain(before, after))


def _relative(row: Row) -> tuple[float, float, float]:
    """Median and its interval, in units of the calibration loop."""
    unit = float(row["calibration_ms"])
    low, high = row["p50_interval_ms"]
    return row["latency_ms"]["p50"] / unit, low / unit, high / unit


def _gain(before: Row, after: Row) -> float | None:
    old, new = before["accuracy"], after["accuracy"]
    if (old["set"], old["n"]) != (new["set"], new["n"]) or old.get("srcc") is None:
        return None
    return -math.inf if new.get("srcc") is None else float(new["srcc"] - old["srcc"])
