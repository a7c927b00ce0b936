"""A CUDA device made of ordinary memory, on which nothing happens before somebody waits for it.

Work is queued, stream by stream, and done only when an event or stream is waited for, as late as real
hardware may: reading a result too early, or filling a buffer that is still to be copied, gives wrong numbers
here too, and so does computing on what another stream has not copied yet.
"""

import ctypes
from types import SimpleNamespace

import numpy as np

from crossiqa_edge.errors import BackendError


class FakeCuda:
    def __init__(self):
        self.buffers = []  # keeps every buffer alive
        self.queues = {}  # stream -> its (event recorded, or None; work)
        self.pending = {}  # events recorded that have not happened -> their stream
        self.done = []  # (stream, what), in the order in which it happened
        self.graphs = []
        self.capturing = None
        self.launches = 0
        self.synchronised = []  # streams, in the order in which they were waited for
        self.used = 0  # bytes of the device
        self.closed = False
        self.failing = False

    def stream(self):
        made = 7 + len(self.queues)
        self.queues[made] = []
        return made

    def event(self):
        self.buffers.append(object())
        return 100 + len(self.buffers)

    def pinned(self, size):
        buffer = np.full(size, 0xAB, np.uint8)
        self.buffers.append(buffer)
        return buffer

    def allocate(self, size):
        self.used += size
        return self.pinned(size).ctypes.data

    def memory(self):
        return 1_000_000 - self.used, 1_000_000

    def copy(self, target, source, size, stream):
        assert stream in self.queues
        if self.failing:
            raise BackendError("CUDA: cudaMemcpyAsync failed")
        self.enqueue(lambda: ctypes.memmove(target, source, size), stream, what="copy")

    def enqueue(self, work, stream, event=None, what="event"):
        queue = self.queues.setdefault(stream, []) if self.capturing is None else self.capturing
        queue.append((event, work, what))

    def record(self, event, stream):
        self.pending[event] = stream
        self.enqueue(lambda: None, stream, event)

    def wait(self, event):
        while event in self.pending:
            self.step(self.pending[event])

    def synchronise(self, stream):
        self.synchronised.append(stream)
        while self.queues.get(stream):
            self.step(stream)

    def synchronise_device(self):
        self.synchronised.append("device")
        for stream in self.queues:
            while self.queues[stream]:
                self.step(stream)

    def step(self, stream):
        recorded, work, what = self.queues[stream].pop(0)
        work()
        self.done.append((stream, what))
        self.pending.pop(recorded, None)

    def capture(self, stream, work):
        self.capturing = []
        work()
        captured, self.capturing = self.capturing, None
        self.graphs.append(captured)
        return len(self.graphs) - 1

    def launch(self, graph, stream):
        self.launches += 1
        self.queues[stream].extend(self.graphs[graph])

    def close(self):
        self.closed = True


class MeanEngine:
    """An engine whose score of a view is its mean byte / 255 * 100, like the tiny graph's."""

    memory = 4096

    def __init__(self, cuda, size, capturable=True):
        self.cuda, self.size, self.can_be_captured = cuda, size, capturable
        self.contexts = []

    def context(self, memory):
        self.contexts.append(MeanContext(self.cuda, self.size, memory, self.can_be_captured))
        return self.contexts[-1]


class MeanContext:
    """An execution of such an engine. What is captured of it fails once it has been set to something else."""

    def __init__(self, cuda, size, memory=0, capturable=True):
        self.cuda, self.size, self.memory, self.can_be_captured = cuda, size, memory, capturable
        self.batches = []
        self.state = None

    def capturable(self, stream):
        assert self.batches, "known only after a first run"
        return self.can_be_captured

    def enqueue(self, batch, views, scores, stream):
        self.batches.append(batch)
        count = batch * self.size * self.size * 3
        self.state = state = (batch, views, scores)
        captured = self.cuda.capturing is not None
        assert self.can_be_captured or not captured, "cudaErrorStreamCaptureUnsupported"

        def work():
            assert self.state == state or not captured, "the context is not as it was captured"
            pixels = np.ctypeslib.as_array((ctypes.c_uint8 * count).from_address(views))
            result = (pixels.reshape(batch, -1).mean(1) / 2.55).astype(np.float32)
            ctypes.memmove(scores, result.ctypes.data, result.nbytes)

        self.cuda.enqueue(work, stream, what="compute")


def on_device(array, **changes):
    """``array``, as if it lay in GPU memory and was done; ``changes`` to what its interface says."""
    interface = {
        "shape": array.shape,
        "typestr": array.dtype.str,
        "data": (array.ctypes.data, False),
        "strides": None if array.flags.c_contiguous else array.strides,
        "version": 3,
        "stream": None,
    }
    return SimpleNamespace(__cuda_array_interface__={**interface, **changes}, keeps=array)


def as_torch_has_it(array):
    """``array``, as if it were a tensor of PyTorch, which names no stream."""
    tensor = on_device(array, version=2)
    del tensor.__cuda_array_interface__["stream"]
    return tensor
