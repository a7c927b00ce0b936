"""The few calls of the CUDA runtime that executing an engine takes, and their errors as ours.

Behind a protocol, so that everything above it can be tested without a GPU.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from crossiqa_edge.errors import BackendError, MissingDependencyError

Bytes = npt.NDArray[np.uint8]


class Cuda(Protocol):
    """Streams, memory, events and graphs of one device. Handles and addresses are plain integers."""

    def stream(self) -> int: ...
    def event(self) -> int: ...
    def pinned(self, size: int) -> Bytes:
        """``size`` bytes of page-locked host memory: copies from and to it do not hold up the host."""

    def allocate(self, size: int) -> int: ...
    def memory(self) -> tuple[int, int]:
        """Bytes of the device that are free, and that it has, whoever uses them."""

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        """Enqueue a copy between any two addresses, of host or device."""

    def record(self, event: int, stream: int) -> None:
        """Let ``event`` happen once all that is on ``stream`` now is done."""

    def wait(self, event: int) -> None: ...
    def synchronise(self, stream: int) -> None: ...
    def synchronise_device(self) -> None:
        """Wait for all that any stream of the device, of whatever library, still has to do."""

    def capture(self, stream: int, work: Callable[[], None]) -> int:
        """What ``work`` enqueues on ``stream``, as a graph to be launched; nothing runs yet."""

    def launch(self, graph: int, stream: int) -> None: ...
    def close(self) -> None:
        """Give back everything that was made here."""


class CudaRuntime:
    """``Cuda`` over NVIDIA's own bindings (the package ``cuda-bindings``)."""

    def __init__(self) -> None:
        """Nothing is opened yet; MissingDependencyError without the ``cuda`` extra."""
        try:
            from cuda.bindings import runtime
        except ImportError as error:
            raise MissingDependencyError("using the GPU's memory", "cuda") from error

        self._runtime: Any = runtime
        self._undo: list[tuple[Callable[..., Any], Any]] = []

    def stream(self) -> int:
        flags = self._runtime.cudaStreamNonBlocking
        handle = self._call(self._runtime.cudaStreamCreateWithFlags, flags)
        self._undo.append((self._runtime.cudaStreamDestroy, handle))
        return int(handle)

    def event(self) -> int:
        handle = self._call(self._runtime.cudaEventCreateWithFlags, self._runtime.cudaEventDisableTiming)
        self._undo.append((self._runtime.cudaEventDestroy, handle))
        return int(handle)

    def pinned(self, size: int) -> Bytes:
        address = self._call(self._runtime.cudaHostAlloc, size, self._runtime.cudaHostAllocDefault)
        self._undo.append((self._runtime.cudaFreeHost, address))
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(int(address)))

    def allocate(self, size: int) -> int:
        address = self._call(self._runtime.cudaMalloc, size)
        self._undo.append((self._runtime.cudaFree, address))
        return int(address)

    def memory(self) -> tuple[int, int]:
        free, total = self._call(self._runtime.cudaMemGetInfo)
        return int(free), int(total)

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDefault  # the driver knows which side an address is on
        self._call(self._runtime.cudaMemcpyAsync, target, source, size, kind, stream)

    def record(self, event: int, stream: int) -> None:
        self._call(self._runtime.cudaEventRecord, event, stream)

    def wait(self, event: int) -> None:
        self._call(self._runtime.cudaEventSynchronize, event)

    def synchronise(self, stream: int) -> None:
        self._call(self._runtime.cudaStreamSynchronize, stream)

    def synchronise_device(self) -> None:
        self._call(self._runtime.cudaDeviceSynchronize)

    def capture(self, stream: int, work: Callable[[], None]) -> int:
        mode = self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call(self._runtime.cudaStreamBeginCapture, stream, mode)
        try:
            work()
        finally:  # also after an error: a stream that is left capturing takes no other work
            graph = self._call(self._runtime.cudaStreamEndCapture, stream)
        executable = self._call(self._runtime.cudaGraphInstantiate, graph, 0)
        self._undo.append((self._runtime.cudaGraphExecDestroy, executable))
        self._call(self._runtime.cudaGraphDestroy, graph)
        return int(executable)

    def launch(self, graph: int, stream: int) -> None:
        self._call(self._runtime.cudaGraphLaunch, graph, stream)

    def close(self) -> None:
        while self._undo:  # last made, first given back
            give_back, handle = self._undo.pop()
            give_back(handle)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        error, *values = function(*arguments)
        if error != self._runtime.cudaError_t.cudaSuccess:
            raise BackendError(f"CUDA: {function.__name__} failed with {error.name}; see `crossiqa doctor`")
        if len(values) > 1:
            return values
        return values[0] if values else None
