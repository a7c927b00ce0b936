"""What a backend with a device of its own takes beside its arithmetic: copies to it, and memory of it.

On a CPU there is neither, and the figures are None. What is here has been tested on stand-ins for a device;
it has not been run on a GPU yet.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from crossiqa_edge.errors import BackendError, MissingDependencyError
from crossiqa_edge.imaging.sampling import Views
from crossiqa_edge.runtime.backend import Backend, Uploading
from crossiqa_edge.runtime.cuda import Cuda, CudaRuntime

_COPIES = 30
_PERIOD = 0.001  # seconds between two looks at the memory


def host_to_device_ms(backend: Backend, views: Views) -> float | None:
    """Milliseconds to copy ``views`` to the device and wait, the median of some calls; None on a CPU.

    ``infer`` does the same, so this is a part of its time and not one beside it.
    """
    if backend.device == "cpu" or not isinstance(backend, Uploading):
        return None
    backend.upload(views)
    taken = []
    for _ in range(_COPIES):
        start = perf_counter()
        backend.upload(views)
        taken.append(1e3 * (perf_counter() - start))
    return median(taken)


@dataclass
class Peak:
    """The most memory that was in use, in bytes, beyond what was before; None without a device."""

    used: int | None = None


@contextmanager
def device_peak(make: Callable[[], Cuda] = CudaRuntime) -> Iterator[Peak]:
    """Watch the memory of the device during the block, once a millisecond.

    CUDA tells what is in use by everybody: nothing else should be at work on the device. Its own context,
    some hundred megabytes whatever the model, is made before and not counted.
    """
    peak = Peak()
    try:
        cuda = make()
        free, _ = cuda.memory()
    except (BackendError, MissingDependencyError):
        yield peak
        return
    least, done = free, threading.Event()

    def look() -> None:
        nonlocal least
        least = min(least, cuda.memory()[0])

    def watch() -> None:
        while not done.wait(_PERIOD):
            look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
        look()
    finally:
        done.set()
        thread.join()
        cuda.close()
    peak.used = free - least
