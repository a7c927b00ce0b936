"""Timing on a GPU: by its own events, each call with a cold L2 cache, candidates in turns.

An event is recorded before and after a call, in the stream itself, so that the host's clock plays no part.
Before each call the L2 cache is overwritten: in a network, other layers' data has passed through it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch

from crossiqa_edge.bench.timing import Timing

Call = Callable[[], object]

ROUNDS = 20
CALLS = 5  # in a round, of each candidate
_WARM_UP = 3  # calls that do not count: lazy initialisation and the caches of the host
_ROUND_MS = 20.0  # that the calls of a round take, where they take long: what is slow varies less
_FLUSHES = 2  # times its size that are written to displace the L2 cache


class Timer(Protocol):
    """Times calls, and records them to be replayed without launch costs."""

    def __call__(self, call: Call) -> float:
        """Milliseconds of one call."""

    def record(self, call: Call) -> Call:
        """The same launches as one."""

    def wait(self) -> None:
        """Until the device has done what it was told; what it failed at is raised here at the latest."""


class CudaTimer:
    """The current CUDA device; RuntimeError by torch where there is none."""

    def __init__(self) -> None:
        size = torch.cuda.get_device_properties(torch.cuda.current_device()).L2_cache_size
        self._flush = torch.empty(_FLUSHES * size, dtype=torch.uint8, device="cuda")
        self._start, self._end = (
            torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            for _ in range(2)
        )

    def __call__(self, call: Call) -> float:
        self._flush.zero_()
        self._start.record()
        call()
        self._end.record()
        self._end.synchronize()
        return float(self._start.elapsed_time(self._end))

    def record(self, call: Call) -> Call:
        with _as_it_was():
            return _recorded(call)

    def wait(self) -> None:
        torch.cuda.synchronize()


@contextmanager
def _as_it_was() -> Iterator[None]:
    """Whatever a recording that fails does not put back: its stream, and random numbers that count for it.

    Of the latter every graph holds the state; once one has failed, it lets no graph of that state replay.
    """
    stream = torch.cuda.current_stream()
    generator = torch.cuda.default_generators[torch.cuda.current_device()]
    state = generator.graphsafe_get_state()
    generator.graphsafe_set_state(generator.clone_state())
    try:
        yield
    finally:
        torch.cuda.set_stream(stream)
        generator.graphsafe_set_state(state)


def _recorded(call: Call) -> Call:
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UP):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    replay: Call = graph.replay
    return replay


def take_turns(
    candidates: Mapping[str, Call], timer: Timer, *, rounds: int = ROUNDS, calls: int = CALLS
) -> dict[str, Timing]:
    """Time candidates A B C, A B C, ...: ``calls`` of each in every round, fewer where one takes long."""
    slowest = max((_warm(call, timer) for call in candidates.values()), default=0.0)
    calls = max(1, min(calls, int(_ROUND_MS / slowest))) if slowest else calls
    taken: dict[str, list[np.ndarray]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, call in candidates.items():
            taken[name].append(np.array([timer(call) for _ in range(calls)]))
    return {name: Timing(tuple(parts)) for name, parts in taken.items()}


def _warm(call: Call, timer: Timer) -> float:
    """Milliseconds of the last of the calls that do not count."""
    return [timer(call) for _ in range(_WARM_UP)][-1]
