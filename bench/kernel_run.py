"""The cases of the kernel benchmark one after the other, within a time: a row for whatever comes of each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from itertools import chain
from statistics import fmean
from time import perf_counter
from typing import Any

import torch

from crossiqa_edge.bench.gpu_timing import Call, Timer, take_turns
from crossiqa_edge.bench.jsonl import Row
from crossiqa_edge.bench.kernel_cases import Case, Planned
from crossiqa_edge.bench.kernel_names import COMPILED, EAGER, MODES, OURS, TUNED, compiles
from crossiqa_edge.bench.kernel_peers import forget_compiled
from crossiqa_edge.bench.kernel_results import LEFT_OUT
from crossiqa_edge.bench.timing import Timing, compare

CASE_SECONDS = 2.0  # that a case without torch.compile takes at least, with its inputs and our kernels
_GUESSES = {COMPILED: 15.0, TUNED: 90.0}  # seconds, until the first one is seen
_MARGIN = 1.5  # on the longest that was seen
_MESSAGE = 300  # characters of an error that a row keeps
GONE = "the device no longer answers: no case after this one"


@dataclass(frozen=True)
class Roof:
    """What this GPU reaches: operations a second in 16 bits, bytes a second, operations a second in int8."""

    flops: float
    moved: float
    int8: float | None = None

    def attainable_ms(self, case: Case, name: str) -> float | None:
        """Milliseconds that candidate ``name`` takes at least; None where int8 was not measured."""
        part = case.int8 if name == OURS else 0.0
        if part and self.int8 is None:
            return None
        in_int8 = case.flops * part / self.int8 if self.int8 else 0.0
        return 1e3 * max(case.flops * (1.0 - part) / self.flops + in_int8, case.moved / self.moved)


@dataclass
class Budget:
    """The time until ``end``, and what cases and torch.compile take of it here.

    Attributes:
        end: when the time is over, as ``clock`` gives it, in seconds.
        longest: candidate -> the most seconds that compiling it has taken.
        compiling: seconds that torch.compile has taken in all.
        others: seconds that each case has taken beside it.
    """

    end: float
    clock: Callable[[], float] = perf_counter
    longest: dict[str, float] = field(default_factory=dict)
    compiling: float = 0.0
    others: list[float] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Seconds that are left; negative once it is over."""
        return self.end - self.clock()

    def affords(self, name: str, cases: int) -> bool:
        """Whether compiling candidate ``name`` leaves time for ``cases`` more without compiling."""
        seen = self.longest.get(name)
        expected = _GUESSES[name] if seen is None else _MARGIN * seen
        a_case = max(CASE_SECONDS, fmean(self.others or [0.0]))
        return self.left > expected + a_case * cases

    def took(self, name: str, seconds: float) -> None:
        """Learn what compiling candidate ``name`` took."""
        self.longest[name] = max(seconds, self.longest.get(name, 0.0))
        self.compiling += seconds

    @contextmanager
    def of_a_case(self) -> Iterator[None]:
        """Learn what the case inside takes beside torch.compile."""
        start, compiling = self.clock(), self.compiling
        yield
        self.others.append(self.clock() - start - (self.compiling - compiling))


def run(
    planned: Sequence[Planned], timer: Timer, *, roof: Roof, budget: Budget, rounds: int
) -> Iterator[Row]:
    """Rows for each candidate and mode of each case, and for what failed or did not fit into the time.

    torch.compile gives way first, so that ours and torch's own are timed of as many cases as possible; while
    time is left at the end, the cases that lack it are measured again. A device that no longer answers ends
    the run.
    """
    queue = deque((item, len(planned) - place, False) for place, item in enumerate(planned, 1))
    while queue:
        item, after, again = queue.popleft()
        if again and not budget.affords(TUNED, 0):
            return
        short = False
        named = {"kernel": item.kernel, "shape": dict(item.shape), "made": now()}
        with budget.of_a_case():
            for row in _rows(item, timer, roof=roof, budget=budget, rounds=rounds, after=after):
                short = short or row.get("error") == LEFT_OUT
                yield {**named, **row}
        if not answers(timer):
            yield {**named, "candidate": None, "error": GONE}
            return
        if short and not again:
            queue.append((item, 0, True))


def now() -> str:
    """When a case is begun: what tells its measurements apart."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def answers(timer: Timer) -> bool:
    """Whether the device still works: after a fault of a kernel, nothing does in this process."""
    try:
        timer.wait()
    except Exception:  # whatever torch makes of the driver's error
        return False
    return True


def message(error: Exception) -> str:
    """An error as a row keeps it: one line, not a long one."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:_MESSAGE]


def _rows(item: Planned, timer: Timer, *, budget: Budget, **options: Any) -> Iterator[Row]:
    if budget.left <= 0:
        yield {"candidate": None, "error": LEFT_OUT}
        return
    try:
        yield from _timed(item.make(), timer, budget=budget, **options)
    except Exception as error:  # memory that is short, or a fault that shows late
        yield {"candidate": None, "error": message(error)}
    finally:
        forget_compiled()


def _timed(case: Case, timer: Timer, *, roof: Roof, budget: Budget, rounds: int, after: int) -> Iterator[Row]:
    calls, failed = prepared(case, timer, budget, after)
    off_by = distances(calls)
    graphs, not_recorded = _recorded(calls, timer)
    for mode, ready in zip(MODES, (calls, graphs), strict=True):
        timings = take_turns(ready, timer, rounds=rounds)
        for name, timing in timings.items():
            yield {
                "candidate": name,
                "mode": mode,
                **_figures(timing, timings.get(OURS), roof.attainable_ms(case, name)),
                "distance": off_by[name],
            }
    # Last: a case that is cut off between its modes is then known by what it lacks.
    for name, error in chain(failed.items(), not_recorded.items()):
        yield {"candidate": name, "error": error}


def prepared(case: Case, timer: Timer, budget: Budget, after: int) -> tuple[dict[str, Call], dict[str, str]]:
    """The calls that work here, called once, and why the others do not.

    Args:
        after: how many cases are to follow within ``budget``.
    """
    calls: dict[str, Call] = {}
    failed: dict[str, str] = {}
    for name, prepare in case.candidates.items():
        if compiles(name) and not budget.affords(name, after):
            failed[name] = LEFT_OUT
            continue
        start = budget.clock()
        _attempt(name, partial(_called, prepare, timer), calls, failed)
        if compiles(name):
            budget.took(name, budget.clock() - start)
    return calls, failed


def _called(prepare: Callable[[], Call], timer: Timer) -> Call:
    call = prepare()
    call()
    timer.wait()  # a fault of this call is to be its own, not that of whatever waits next
    return call


def _recorded(calls: dict[str, Call], timer: Timer) -> tuple[dict[str, Call], dict[str, str]]:
    graphs: dict[str, Call] = {}
    failed: dict[str, str] = {}
    for name, call in calls.items():
        _attempt(name, partial(timer.record, call), graphs, failed)
    return graphs, failed


def _attempt(name: str, make: Callable[[], Call], made: dict[str, Call], failed: dict[str, str]) -> None:
    try:
        made[name] = make()
    except Exception as error:  # a backend that a GPU lacks raises what it likes
        failed[name] = message(error)


def distances(calls: dict[str, Call]) -> dict[str, float]:
    """RMS difference of each candidate's result to torch's, relative to the RMS of the latter."""
    results = {name: first_result(call()) for name, call in calls.items()}
    known = [name for name in results if name != OURS]
    if not known:
        return dict.fromkeys(results, float("nan"))
    reference = results[EAGER if EAGER in results else known[-1]]
    scale = float(reference.square().mean().sqrt())
    return {
        name: float(f"{float((result - reference).square().mean().sqrt()) / scale:.3g}")
        for name, result in results.items()
    }


def first_result(result: Any) -> torch.Tensor:
    """What is compared of a candidate's result, in float64."""
    tensor: torch.Tensor = result[0] if isinstance(result, tuple) else result
    return tensor.detach().double()


def _figures(timing: Timing, ours: Timing | None, attainable_ms: float | None) -> Row:
    low, high = timing.interval()
    comparison = None if ours is None or ours is timing else compare(timing, ours)
    return {
        "calls": len(timing.calls),
        "p50_ms": round(timing.median, 6),
        "p95_ms": round(timing.percentile(95), 6),
        "p50_interval_ms": [round(low, 6), round(high, 6)],
        "roof_share": None if attainable_ms is None else round(attainable_ms / timing.median, 4),
        "ratio_to_ours": None if comparison is None else round(comparison.ratio, 4),
        "ratio_interval": None if comparison is None else [round(x, 4) for x in comparison.interval],
    }
