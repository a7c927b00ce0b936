"""The budget solver: of all points that this machine can run, the most accurate one within the budget.

Accuracy costs one pass over the judged pictures, latency costs time, and its tail costs most. So the points
race (successive halving; Jamieson and Talwalkar, AISTATS 2016): every heat times the survivors in turns
for twice as long as the heat before, then drops whatever is certainly too slow and the worse half of the
rest. Where none of the last few fits after all, those that they pushed out run another heat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import perf_counter

from crossiqa_edge.bench.point import Point
from crossiqa_edge.bench.timing import Clock, Timing, interleave
from crossiqa_edge.errors import ConfigError

MIN_CALLS_IN_TAIL = 5  # fewer calls beyond a percentile say nothing about it
_ROUNDS = 8


@dataclass(frozen=True)
class Budget:
    """What the user can afford.

    Attributes:
        max_latency_ms: from the first picture's arrival to its score.
        percentile: share of the calls, in percent, that must keep it.
        min_srcc: least rank correlation with opinion; None asks for none.
        fps: pictures that arrive a second; None when they wait in files. A batch then takes time to
            fill, which counts as latency.
    """

    max_latency_ms: float
    percentile: float = 99.0
    min_srcc: float | None = None
    fps: float | None = None

    def waiting_ms(self, batch: int) -> float:
        """How long the first picture of a batch waits for the last."""
        return 0.0 if self.fps is None else 1e3 * (batch - 1) / self.fps


@dataclass(frozen=True)
class Trial:
    """A point with what is known of it.

    Attributes:
        srcc: accuracy; None where it does not exist.
        latency_ms: the budget's percentile of the call, with the wait for a full batch.
        interval_ms: what it may be.
        pictures_per_s: throughput at the median.
        calls: how many it rests on.
        verdict: why it was kept or dropped, in words.
    """

    point: Point
    srcc: float | None
    latency_ms: float = 0.0
    interval_ms: tuple[float, float] = (0.0, float("inf"))
    pictures_per_s: float = 0.0
    calls: int = 0
    verdict: str = "not timed"

    def fits(self, budget: Budget) -> bool:
        """Within the budget as far as it was measured."""
        fast_enough = budget.fps is None or self.pictures_per_s >= budget.fps
        return self.calls > 0 and self.latency_ms <= budget.max_latency_ms and fast_enough

    def hopeless(self, budget: Budget) -> bool:
        """Beyond the budget even at the kind end of its interval."""
        return self.interval_ms[0] > budget.max_latency_ms


@dataclass(frozen=True)
class Solution:
    """The chosen point, None where nothing fits, and all trials, best first."""

    chosen: Trial | None
    trials: tuple[Trial, ...]


def solve(
    calls: Mapping[Point, Callable[[], object]],
    accuracies: Mapping[Point, float | None],
    budget: Budget,
    *,
    seconds: float = 1.0,
    heats: int = 4,
    clock: Clock = perf_counter,
    on_heat: Callable[[int, int], object] = lambda heat, points: None,
) -> Solution:
    """Find the most accurate point within ``budget``; of equally accurate ones the fastest.

    Args:
        calls: scores ``point.batch`` pictures.
        accuracies: SRCC of each point.
        seconds: timing of each point in the first heat; doubled in each further one.
        heats: how many there are.
        on_heat: told the number of the heat and of the points in it.

    Raises:
        ConfigError: no points, or a percentile that is none.
    """
    if not calls or not 0 < budget.percentile <= 100:
        raise ConfigError("points to choose from and a percentile above 0 and up to 100 are needed")
    racing, dropped = _accurate_enough(accuracies, budget)
    finalists = max(len(racing) >> (heats - 1), 1)

    def run(heat: int, length: float, trials: list[Trial]) -> list[Trial]:
        on_heat(heat, len(trials))
        by_name = {str(trial.point): calls[trial.point] for trial in trials}
        timings = interleave(by_name, seconds=length, rounds=_ROUNDS, clock=clock)
        return [_timed(trial, timings[str(trial.point)], budget) for trial in trials]

    heat = 0
    while racing and heat < heats:
        racing = run(heat + 1, seconds * 2**heat, racing)
        heat += 1
        if heat < heats:
            racing, out = _halved(racing, budget)
            dropped += out
    while not any(trial.fits(budget) for trial in racing) and (second := _pushed_out(dropped, budget)):
        heat, second = heat + 1, second[:finalists]
        dropped = [*_told(racing, budget), *(trial for trial in dropped if trial not in second)]
        racing = run(heat, seconds * 2 ** (heats - 1), second)
    return _solution(racing, dropped, budget)


def _accurate_enough(
    accuracies: Mapping[Point, float | None], budget: Budget
) -> tuple[list[Trial], list[Trial]]:
    trials = [Trial(point, srcc) for point, srcc in accuracies.items()]
    if budget.min_srcc is None:
        return trials, []
    least = budget.min_srcc
    kept = [trial for trial in trials if trial.srcc is not None and trial.srcc >= least]
    dropped = [replace(trial, verdict=f"SRCC below {least:g}") for trial in trials if trial not in kept]
    return kept, dropped


def _timed(trial: Trial, timing: Timing, budget: Budget) -> Trial:
    wait = budget.waiting_ms(trial.point.batch)
    low, high = timing.interval(budget.percentile)
    return replace(
        trial,
        latency_ms=wait + timing.percentile(budget.percentile),
        interval_ms=(wait + low, wait + high),
        pictures_per_s=1e3 * trial.point.batch / timing.median,
        calls=len(timing.calls),
        verdict="timed",
    )


def _halved(racing: list[Trial], budget: Budget) -> tuple[list[Trial], list[Trial]]:
    """Survivors, and those that are out, each with the reason."""
    alive = [trial for trial in racing if not trial.hopeless(budget)]
    out = [replace(trial, verdict="certainly too slow") for trial in racing if trial.hopeless(budget)]
    ranked = sorted(alive, key=lambda trial: _rank(trial, budget))
    keep = max((len(ranked) + 1) // 2, 1)
    out += [replace(trial, verdict="better points are in the race") for trial in ranked[keep:]]
    return ranked[:keep], out


def _pushed_out(dropped: list[Trial], budget: Budget) -> list[Trial]:
    """Those that fitted when last timed and had to make room for points that no longer do; best first."""
    return sorted((trial for trial in dropped if trial.fits(budget)), key=lambda trial: _rank(trial, budget))


def _told(trials: list[Trial], budget: Budget) -> list[Trial]:
    return [replace(trial, verdict=_shortfall(trial, budget)) for trial in trials]


def _solution(racing: list[Trial], dropped: list[Trial], budget: Budget) -> Solution:
    ranked = sorted(racing, key=lambda trial: _rank(trial, budget))
    if not ranked or not ranked[0].fits(budget):
        return Solution(None, (*_told(ranked, budget), *dropped))
    chosen = replace(ranked[0], verdict=_praise(ranked[0], budget))
    return Solution(chosen, (chosen, *ranked[1:], *dropped))


def _rank(trial: Trial, budget: Budget) -> tuple[bool, float, float]:
    """Sorts the best first: what fits, then the more accurate, then the faster."""
    return not trial.fits(budget), -(trial.srcc if trial.srcc is not None else -1.0), trial.latency_ms


def _shortfall(trial: Trial, budget: Budget) -> str:
    if budget.fps is not None and trial.pictures_per_s < budget.fps:
        return f"{trial.pictures_per_s:.1f} pictures/s, {budget.fps:g} arrive"
    return f"p{budget.percentile:g} {trial.latency_ms:.1f} ms, {budget.max_latency_ms:g} are allowed"


def _praise(trial: Trial, budget: Budget) -> str:
    beyond = trial.calls * (100 - budget.percentile) / 100
    low, high = trial.interval_ms
    sure = high <= budget.max_latency_ms and beyond >= MIN_CALLS_IN_TAIL
    return (
        "chosen"
        if sure
        else (
            f"chosen; its p{budget.percentile:g} may lie between {low:.1f} and {high:.1f} ms "
            f"({trial.calls} calls): give it more --seconds to be sure"
        )
    )
