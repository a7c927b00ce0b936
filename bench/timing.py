"""Timing that can be trusted: warm-up by time, interleaved rounds, tails kept, intervals that know of drift.

A machine's speed drifts over seconds, with clocks, heat and neighbours. Candidates that are timed one after
the other therefore differ even where they are equal. Here they take turns: a round runs every candidate
once, so that all meet the same weather, two candidates are compared by the ratio within each round, and
intervals resample whole rounds (a cluster bootstrap; Efron and Tibshirani, 1993, chapter 8), because the
calls within one round are not independent of one another. No call is ever thrown away as an outlier: the
slowest ones are what a user waits for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter

import numpy as np
import numpy.typing as npt

Milliseconds = npt.NDArray[np.float64]
Clock = Callable[[], float]

CONFIDENCE = 0.95
MIN_ROUNDS = 8  # below this, resampled rounds say nothing about drift
_RESAMPLES = 200


@dataclass(frozen=True)
class Timing:
    """What one candidate took.

    Attributes:
        rounds: milliseconds of every call, one array a round, in order of time.
    """

    rounds: tuple[Milliseconds, ...]

    @property
    def calls(self) -> Milliseconds:
        """Milliseconds of all calls, in order of time."""
        return np.concatenate(self.rounds)

    def percentile(self, q: float) -> float:
        """Milliseconds that ``q`` percent of the calls did not exceed (linear interpolation)."""
        return float(np.percentile(self.calls, q))

    @property
    def median(self) -> float:
        """Milliseconds of the middle call."""
        return self.percentile(50)

    def interval(self, q: float = 50) -> tuple[float, float]:
        """``CONFIDENCE`` interval of the ``q``-th percentile, in milliseconds."""
        count = len(self.rounds)
        owner = np.repeat(np.arange(count), [len(part) for part in self.rounds])
        order = np.argsort(self.calls)
        # How often each round was drawn is the weight of its calls: one sort serves all resamples.
        drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=_RESAMPLES)
        below = np.cumsum(drawn[:, owner[order]], axis=1)
        reached = np.argmax(below >= below[:, -1:] * q / 100, axis=1)
        return _central(self.calls[order[reached]])


@dataclass(frozen=True)
class Comparison:
    """How much longer one candidate takes than another.

    Attributes:
        ratio: median over the rounds of (median of the first / median of the second).
        interval: its ``CONFIDENCE`` interval.
    """

    ratio: float
    interval: tuple[float, float]

    @property
    def verdict(self) -> str:
        """``slower``, ``faster``, or ``undecided`` where the interval holds 1: too noisy to tell apart."""
        low, high = self.interval
        return "slower" if low > 1.0 else "faster" if high < 1.0 else "undecided"


def compare(first: Timing, second: Timing) -> Comparison:
    """Compare two candidates that were timed in the same rounds.

    Raises:
        ValueError: another number of rounds, so that they cannot have taken turns.
    """
    if len(first.rounds) != len(second.rounds):
        raise ValueError(f"{len(first.rounds)} rounds against {len(second.rounds)}; time both in one run")
    ratios = np.array([np.median(a) / np.median(b) for a, b in zip(first.rounds, second.rounds, strict=True)])
    generator = np.random.default_rng(0)
    chosen = generator.integers(len(ratios), size=(_RESAMPLES, len(ratios)))
    return Comparison(float(np.median(ratios)), _central(np.median(ratios[chosen], axis=1)))


def not_told_apart(timings: Mapping[str, Timing], pieces: Mapping[str, int]) -> list[tuple[str, str]]:
    """Neighbours in the order of time a piece whose difference is within the noise, the faster one first.

    Args:
        timings: candidates that took turns.
        pieces: how many pieces of work each one's call holds.
    """
    by_piece = {
        name: Timing(tuple(part / pieces[name] for part in timing.rounds)) for name, timing in timings.items()
    }
    ranked = sorted(by_piece, key=lambda name: by_piece[name].median)
    return [
        (first, second)
        for first, second in pairwise(ranked)
        if compare(by_piece[second], by_piece[first]).verdict == "undecided"
    ]


def interleave(
    candidates: Mapping[str, Callable[[], object]],
    *,
    seconds: float,
    warmup: float = 0.3,
    rounds: int = 20,
    clock: Clock = perf_counter,
    on_round: Callable[[int], object] = lambda _: None,
) -> dict[str, Timing]:
    """Time candidates in turns: A B C, A B C, ...

    Args:
        candidates: name -> the call to time.
        seconds: time for each candidate, warm-up not counted; every round has at least one call of each,
            so slow calls may take longer than that.
        warmup: seconds for which each candidate is called before anything counts; at least one call.
        rounds: turns each candidate gets, at least ``MIN_ROUNDS``.
        clock: gives seconds.
        on_round: told the number of rounds that are done.

    Raises:
        ValueError: too few rounds, or no candidates.
    """
    if rounds < MIN_ROUNDS or not candidates:
        raise ValueError(f"at least {MIN_ROUNDS} rounds and one candidate are needed")
    for call in candidates.values():
        _call_for(warmup, call, clock)
    taken: dict[str, list[Milliseconds]] = {name: [] for name in candidates}
    for number in range(rounds):
        for name, call in candidates.items():
            taken[name].append(_call_for(seconds / rounds, call, clock))
        on_round(number + 1)
    return {name: Timing(tuple(parts)) for name, parts in taken.items()}


def _call_for(seconds: float, call: Callable[[], object], clock: Clock) -> Milliseconds:
    """Milliseconds of calls, one after the other until ``seconds`` are over; at least one."""
    taken: list[float] = []
    end = clock() + seconds
    while True:
        start = clock()
        call()
        stop = clock()
        taken.append(1e3 * (stop - start))
        if stop >= end:
            return np.array(taken)


def _central(drawn: Sequence[float] | Milliseconds) -> tuple[float, float]:
    tail = 50 * (1.0 - CONFIDENCE)
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return float(low), float(high)
