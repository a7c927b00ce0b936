"""Which kernels of the GPU a call runs and how long each takes: why a goal was missed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torch.profiler import ProfilerActivity, profile

from crossiqa_edge.bench.gpu_timing import Call, Timer
from crossiqa_edge.bench.jsonl import Row
from crossiqa_edge.bench.kernel_cases import Case, Planned
from crossiqa_edge.bench.kernel_goals import MISSED, verdicts
from crossiqa_edge.bench.kernel_names import OURS
from crossiqa_edge.bench.kernel_peers import forget_compiled
from crossiqa_edge.bench.kernel_results import complete, profiles, title
from crossiqa_edge.bench.kernel_run import Budget, answers, message, now, prepared

_CALLS = 5


def profile_missed(
    planned: Sequence[Planned], rows: Sequence[Row], timer: Timer, budget: Budget
) -> Iterator[Row]:
    """For each case of ``planned`` in which ``rows`` miss a goal, profiles of ours and of the fastest rival.

    A rival by torch.compile is left out where the time is too short, and all that follows when it is over.
    """
    there = complete(profiles(rows))
    missed: dict[str, str | None] = {}
    for verdict in verdicts(rows):
        if verdict.state == MISSED:
            missed.setdefault(title(verdict.kernel, verdict.shape), verdict.rival)
    for item in planned:
        name = title(item.kernel, item.shape)
        if name not in missed or name in there:
            continue
        if budget.left <= 0 or not answers(timer):
            return
        yield from _profiles(item, missed[name], timer, budget)


def _profiles(item: Planned, rival: str | None, timer: Timer, budget: Budget) -> Iterator[Row]:
    named = {"kernel": item.kernel, "shape": dict(item.shape), "made": now()}
    try:
        case = item.make()
        wanted = {name: make for name, make in case.candidates.items() if name in (OURS, rival)}
        calls, failed = prepared(Case(case.flops, case.moved, wanted), timer, budget, 0)
        for name, error in failed.items():
            yield {**named, "candidate": name, "profile": [], "error": error}
        for name, call in calls.items():
            yield {**named, "candidate": name, **profiled(call, timer)}
    except Exception as error:  # a profiler that this machine forbids, or memory that is short
        yield {**named, "candidate": None, "profile": [], "error": message(error)}
    finally:
        forget_compiled()


def profiled(call: Call, timer: Timer) -> Row:
    """The kernels of ``call``, a few calls' mean, with warm caches: the longest first, in microseconds."""
    timer.wait()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(_CALLS):
            call()
        timer.wait()
    kernels = device_times(profiler.key_averages(), _CALLS)
    return {"profile": kernels, "device_us": round(sum(kernel["us"] for kernel in kernels), 2)}


def device_times(events: Iterable[Any], calls: int) -> list[Row]:
    """Of the profiler's averaged events those that took time on the device, by the call."""
    kernels = [
        {
            "name": str(event.key),
            "launches": round(event.count / calls, 2),
            "us": round(event.self_device_time_total / calls, 2),
        }
        for event in events
        if event.self_device_time_total > 0 and event.device_type.name != "CPU"
    ]
    return sorted(kernels, key=lambda kernel: -kernel["us"])
