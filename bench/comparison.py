"""Two runs side by side: is a point faster, slower, or is the difference within the noise?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crossiqa_edge.bench.jsonl import Row
from crossiqa_edge.bench.rows import point_key
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
        srcc_change: accuracy after - before; None where either has none or the sets differ.
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
        InputError: they have none in common.
    """
    known = {point_key(row): row for row in before}
    shared = [(known[point_key(row)], row) for row in after if point_key(row) in known]
    if not shared:
        raise InputError("the two runs have no point in common; measure the same models and backends")
    return [_change(old, new) for old, new in shared]


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
    if old["set"] != new["set"] or old["srcc"] is None or new["srcc"] is None:
        return None
    return float(new["srcc"] - old["srcc"])
