"""Views through an engine: staged in pinned memory, executed as CUDA graphs, while the next are being staged.

A ring of slots. A slot has pinned host memory and device memory for one batch, and an event that says when
its scores have arrived. While one slot computes, the host fills the next, and a second stream copies it to
the device. A graph is captured per slot and batch size, so batches are rounded up to a few sizes, and what
the padding scores is dropped. NVIDIA's best practices for both libraries want an execution context for every
captured graph, since capturing another one alters it. A context is cheap without memory to work in: those of
a slot, of which one runs at a time, share one block.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from crossiqa_edge.errors import BackendError
from crossiqa_edge.imaging.sampling import Views
from crossiqa_edge.runtime.cuda import Cuda
from crossiqa_edge.runtime.device_array import device_array, wait_until_made

SLOTS = 2  # one computes, one is filled
_FLOAT_BYTES = 4


class Context(Protocol):
    """One execution of an engine, with what it keeps between calls, on addresses of device memory."""

    def enqueue(self, batch: int, views: int, scores: int, stream: int) -> None:
        """Score ``batch`` views, uint8 (batch, S, S, 3) at ``views``, into float32 (batch,) at ``scores``."""

    def capturable(self, stream: int) -> bool:
        """Whether what was enqueued on ``stream`` last can be captured as a graph."""


class Engine(Protocol):
    """An engine that is loaded, and may be executed by several contexts."""

    @property
    def memory(self) -> int:
        """Bytes of device memory that a context works in."""

    def context(self, memory: int) -> Context:
        """A new context, which works in the device memory at that address."""


@dataclass(frozen=True, slots=True)
class DeviceViews:
    """Views that are on the GPU already: address, number, and ``stream`` as ``DeviceArray`` has it."""

    address: int
    count: int
    stream: int | None


@dataclass(frozen=True, slots=True)
class _Execution:
    """A batch of one size in one slot: its context, which lives as long as the graph, and the graph."""

    context: Context
    graph: int | None  # None where this engine cannot be captured


@dataclass(slots=True)
class _Slot:
    views: Views  # pinned, (max batch, S, S, 3)
    scores: npt.NDArray[np.float32]  # pinned, (max batch,)
    device_views: int
    device_scores: int
    memory: int  # that its contexts work in
    done: int
    executions: dict[int, _Execution] = field(default_factory=dict)  # by batch


class PlanRunner:
    """Runs one engine; may be called from several threads, which then wait for one another.

    Args:
        cuda: the device.
        engine: to execute.
        profile: least, best and largest batch.
        size: side of the views in pixels.
    """

    def __init__(self, cuda: Cuda, engine: Engine, profile: tuple[int, int, int], size: int) -> None:
        self._cuda: Cuda | None = cuda
        self._engine = engine
        self._batches = batch_sizes(profile)
        self._view_bytes = size * size * 3
        self._stream, self._uploads = cuda.stream(), cuda.stream()
        self._slots = [self._slot(cuda, profile[2], size) for _ in range(SLOTS)]
        self._lock = threading.Lock()

    def run(self, views: Views | DeviceViews) -> npt.NDArray[np.float32]:
        """Scores, float32 (V,), of views, uint8 (V, S, S, 3), V >= 1, on the host or on the GPU.

        Raises:
            BackendError: the device failed, or ``close`` was called.
        """
        with self._lock:
            return self._run(self._open(), views)

    def upload(self, views: Views) -> None:
        """Copy ``views`` to the device as ``run`` does, and nothing else, waiting for each batch.

        Raises:
            BackendError: as of ``run``.
        """
        with self._lock:
            cuda, slot = self._open(), self._slots[0]
            for start, count in chunks(len(views), self._batches[-1]):
                self._stage(cuda, slot, views, start, count, self._uploads)
                cuda.synchronise(self._uploads)

    def close(self) -> None:
        """Give back memory and graphs."""
        with self._lock:
            if self._cuda is not None:
                self._settle(self._cuda)
                self._cuda.close()
            self._cuda = None

    def _open(self) -> Cuda:
        if self._cuda is None:
            raise BackendError("the engine was closed; load it again")
        return self._cuda

    def _run(self, cuda: Cuda, views: Views | DeviceViews) -> npt.NDArray[np.float32]:
        total = views.count if isinstance(views, DeviceViews) else len(views)
        if isinstance(views, DeviceViews):
            wait_until_made(cuda, views.stream)
        scores = np.empty(total, np.float32)
        try:
            self._stream_through(cuda, views, scores)
        except BackendError:  # nothing may still be reading the slots when the next call fills them
            self._settle(cuda)
            raise
        return scores

    def _settle(self, cuda: Cuda) -> None:
        """Wait for all that was enqueued, whether it went well or not."""
        for stream in (self._uploads, self._stream):
            with suppress(BackendError):
                cuda.synchronise(stream)

    def _stream_through(
        self, cuda: Cuda, views: Views | DeviceViews, scores: npt.NDArray[np.float32]
    ) -> None:
        flying: deque[tuple[_Slot, int, int]] = deque()  # (slot, first view, number)
        for turn, (start, count) in enumerate(chunks(len(scores), self._batches[-1])):
            if len(flying) == len(self._slots):
                _land(cuda, scores, *flying.popleft())
            slot = self._slots[turn % len(self._slots)]
            self._send(cuda, slot, views, start, count, beside=bool(flying))
            flying.append((slot, start, count))
        while flying:
            _land(cuda, scores, *flying.popleft())

    def _stage(
        self, cuda: Cuda, slot: _Slot, views: Views | DeviceViews, start: int, count: int, stream: int
    ) -> None:
        """Enqueue on ``stream`` the copy of the views from ``start`` on into the slot's device memory."""
        if isinstance(views, DeviceViews):
            source = views.address + start * self._view_bytes
        else:
            slot.views[:count] = views[start : start + count]
            source = slot.views.ctypes.data
        cuda.copy(slot.device_views, source, count * self._view_bytes, stream)

    def _send(
        self, cuda: Cuda, slot: _Slot, views: Views | DeviceViews, start: int, count: int, *, beside: bool
    ) -> None:
        """Enqueue a batch; ``beside`` another that computes, its views come by the second stream.

        The host waits for them, for which it has the time. For a batch alone that would only add latency.
        """
        self._stage(cuda, slot, views, start, count, self._uploads if beside else self._stream)
        if beside:
            cuda.synchronise(self._uploads)
        batch = next(size for size in self._batches if size >= count)
        self._execute(cuda, slot, batch)
        cuda.copy(slot.scores.ctypes.data, slot.device_scores, count * _FLOAT_BYTES, self._stream)
        cuda.record(slot.done, self._stream)

    def _execute(self, cuda: Cuda, slot: _Slot, batch: int) -> None:
        """Enqueue the scoring of ``batch`` views in ``slot``: a captured graph, where there can be one."""
        if batch not in slot.executions:
            slot.executions[batch] = self._prepared(cuda, slot, batch)
        execution = slot.executions[batch]
        if execution.graph is None:
            execution.context.enqueue(batch, slot.device_views, slot.device_scores, self._stream)
        else:
            cuda.launch(execution.graph, self._stream)

    def _prepared(self, cuda: Cuda, slot: _Slot, batch: int) -> _Execution:
        """A context of its own for ``batch`` views in ``slot``, after a first run, which may compile."""
        context, stream = self._engine.context(slot.memory), self._stream

        def execute() -> None:
            context.enqueue(batch, slot.device_views, slot.device_scores, stream)

        execute()
        cuda.synchronise(stream)
        return _Execution(context, cuda.capture(stream, execute) if context.capturable(stream) else None)

    def _slot(self, cuda: Cuda, most: int, size: int) -> _Slot:
        return _Slot(
            views=cuda.pinned(most * self._view_bytes).reshape(most, size, size, 3),
            scores=cuda.pinned(most * _FLOAT_BYTES).view(np.float32),
            device_views=cuda.allocate(most * self._view_bytes),
            device_scores=cuda.allocate(most * _FLOAT_BYTES),
            memory=cuda.allocate(self._engine.memory) if self._engine.memory else 0,
            done=cuda.event(),
        )


def _land(cuda: Cuda, scores: npt.NDArray[np.float32], slot: _Slot, start: int, count: int) -> None:
    cuda.wait(slot.done)
    scores[start : start + count] = slot.scores[:count]


def batch_sizes(profile: tuple[int, int, int]) -> tuple[int, ...]:
    """The batches that graphs are captured for, rising: powers of two, and the best and largest batch.

    A batch is padded by less than its own size, and the memory of graphs stays bounded.
    """
    least, best, largest = profile
    powers = (1 << exponent for exponent in range(largest.bit_length()))
    return tuple(sorted({size for size in (*powers, least, best, largest) if least <= size <= largest}))


def chunks(total: int, most: int) -> Iterator[tuple[int, int]]:
    """(start, count) of the parts of ``total`` views, each of at most ``most``."""
    for start in range(0, total, most):
        yield start, min(most, total - start)


def device_views(views: object, size: int) -> DeviceViews | None:
    """``views`` as they lie on the GPU, None if they do not.

    Raises:
        BackendError: on the GPU, but not uint8 (V, ``size``, ``size``, 3) with V >= 1, or not contiguous.
    """
    found = device_array(views)
    if found is None:
        return None
    if not found.is_uint8 or found.shape[1:] != (size, size, 3) or found.shape[0] < 1:
        raise BackendError(f"views on the GPU are uint8 (1 or more, {size}, {size}, 3), these are {found}")
    if not found.contiguous:
        raise BackendError("views on the GPU must be contiguous; call .contiguous() first")
    return DeviceViews(found.address, found.shape[0], found.stream)
