"""What the kernels are to reach, and whether the rows of a run say that they do.

Times are those of CUDA graphs, on both sides: what a stream of frames runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crossiqa_edge.bench.jsonl import Row
from crossiqa_edge.bench.kernel_names import MODES, OURS, SDPA, TUNED
from crossiqa_edge.bench.kernel_results import current, timings, title, title_of

MODE = MODES[-1]
MET, MISSED, NOT_MEASURED, WRONG = "met", "missed", "not measured", "wrong result"
HEADER = ("goal", "case", "measured", "")
_OFF_BY = 0.02  # of torch's result: float16 is a tenth of that off


@dataclass(frozen=True)
class Goal:
    """A bound on our time.

    Attributes:
        words: the goal.
        kernel, applies: which cases it is about.
        times: how often our time must go into that of the fastest rival, where ``rival`` begins its name.
        milliseconds: how long we may take, where there is no rival.
    """

    words: str
    kernel: str
    applies: Callable[[Mapping[str, Any]], bool]
    rival: str = ""
    times: float = 0.0
    milliseconds: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """What became of a goal in one case; ``rival`` is the fastest one where there is any."""

    goal: Goal
    kernel: str
    shape: Mapping[str, Any]
    measured: float | None
    state: str
    rival: str | None = None

    def cells(self) -> tuple[str, ...]:
        """As texts, in the order of ``HEADER``."""
        unit = "times" if self.goal.rival else "ms"
        figure = "" if self.measured is None else f"{self.measured:.3f} {unit}"
        against = f" {self.rival}" if self.rival else ""
        return self.goal.words, title(self.kernel, self.shape), figure + against, self.state


GOALS = (
    Goal(
        "at 197 tokens 1.3 times as fast as the best of SDPA",
        "attention",
        lambda shape: shape.get("tokens") == 197,
        rival=SDPA,
        times=1.3,
    ),
    Goal("never slower than the best of SDPA", "attention", lambda shape: True, rival=SDPA, times=1.0),
    Goal(
        "at batch 1 1.3 times as fast as compiled timm",
        "encoder",
        lambda shape: shape.get("batch") == 1,
        rival=TUNED,
        times=1.3,
    ),
    Goal(
        "at batch 64 1.1 times as fast as compiled timm",
        "encoder",
        lambda shape: shape.get("batch") == 64,
        rival=TUNED,
        times=1.1,
    ),
    Goal(
        "under 0.25 ms for tiny",
        "frame to score",
        lambda shape: shape.get("size") == "tiny",
        milliseconds=0.25,
    ),
    Goal("under 20 µs for a 4K frame", "embed", lambda shape: shape.get("height") == 2160, milliseconds=0.02),
)


def verdicts(rows: Iterable[Row]) -> list[Verdict]:
    """Each goal in each case that ``rows`` have of it; without any, one that says so."""
    cases: dict[str, list[Row]] = {}
    for row in timings(current(rows)):
        cases.setdefault(title_of(row), []).append(row)
    found = []
    for goal in GOALS:
        of_goal = [
            _verdict(goal, case)
            for case in cases.values()
            if case[0]["kernel"] == goal.kernel and goal.applies(case[0]["shape"])
        ]
        found += of_goal or [Verdict(goal, goal.kernel, {}, None, NOT_MEASURED)]
    return found


def cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """A table of the verdicts, its header first."""
    return [HEADER, *(verdict.cells() for verdict in verdicts(rows))]


def _verdict(goal: Goal, case: Sequence[Row]) -> Verdict:
    timed = {row["candidate"]: row for row in case if row.get("mode") == MODE}
    kernel, shape = case[0]["kernel"], case[0]["shape"]
    measured, rival = _measured(goal, timed)
    if measured is None:
        return Verdict(goal, kernel, shape, None, NOT_MEASURED)
    if not timed[OURS]["distance"] <= _OFF_BY:  # NaN as well: fast and wrong is no success
        return Verdict(goal, kernel, shape, measured, WRONG, rival)
    met = measured >= goal.times if goal.rival else measured < goal.milliseconds
    return Verdict(goal, kernel, shape, measured, MET if met else MISSED, rival)


def _measured(goal: Goal, timed: Mapping[str, Row]) -> tuple[float | None, str | None]:
    """The figure that the goal bounds, and whom it was measured against."""
    if OURS not in timed:
        return None, None
    if not goal.rival:
        return timed[OURS]["p50_ms"], None
    ratios = {name: row["ratio_to_ours"] for name, row in timed.items() if name.startswith(goal.rival)}
    best = min(ratios, key=ratios.__getitem__, default=None)
    return (None, None) if best is None else (ratios[best], best)
