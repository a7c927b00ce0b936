"""CUDA graphs: the launches of one call recorded once for a shape, and replayed as one launch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor

from crossiqa_edge.kernels.device import current_device

MAX_SHAPES = 8  # each holds its own activations; the batches of a stream have one shape, or two with the last
_WARM_UP = 3  # calls before the recording: lazy initialisation must not end up in it

Function = Callable[[Tensor], Tensor]
Capture = Callable[[Function, Tensor], tuple[Callable[[], None], Tensor]]


def capture(function: Function, static: Tensor) -> tuple[Callable[[], None], Tensor]:
    """Record ``function(static)``: (replay, result). Replaying reads ``static`` and overwrites the result."""
    side = torch.cuda.Stream(static.device)  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream(static.device))
    with torch.cuda.stream(side):
        for _ in range(_WARM_UP):
            function(static)
    torch.cuda.current_stream(static.device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    # torch records on one stream of the device that was current the first time, unless it is told another;
    # and what another thread allocates meanwhile fails there and ends the recording, unless it is told so.
    with (
        current_device(static.device),
        torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"),
    ):
        result = function(static)
    return graph.replay, result


@dataclass(frozen=True)
class _Recorded:
    """What was recorded for a shape; the GPU reaches ``free`` when the last call is done with it."""

    static: Tensor
    replay: Callable[[], None]
    result: Tensor
    free: torch.cuda.Event | None  # None on a CPU, where a stand-in records

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Inside, the current stream comes after whatever stream the last call was made on."""
        if self.free is None:
            yield
            return
        stream = torch.cuda.current_stream(self.static.device)
        stream.wait_event(self.free)
        yield
        self.free.record(stream)


class Graphed:
    """``function`` of one CUDA tensor, without its launch cost from the second call of a shape on.

    The result of a call is a tensor of its own. Calls may come from several threads and streams and run one
    after the other. ``function`` must do the same launches for the same shape, must not wait for the GPU, and
    its parameters must stay where they are: after changing any of them in another way than in place,
    make a new one.

    Args:
        function: tensor -> tensor.
        capture: records a call; replaced in tests.
    """

    def __init__(self, function: Function, capture: Capture = capture) -> None:
        self._function = function
        self._capture = capture
        self._recorded: OrderedDict[object, _Recorded] = OrderedDict()
        self._lock = Lock()

    def __call__(self, x: Tensor) -> Tensor:
        key = (x.shape, x.dtype, x.device)
        with self._lock, torch.no_grad():
            if key not in self._recorded:
                self._recorded[key] = self._record(x)
            self._recorded.move_to_end(key)
            recorded = self._recorded[key]
            with recorded.in_turn():
                recorded.static.copy_(x)
                recorded.replay()
                return recorded.result.clone()

    def _record(self, x: Tensor) -> _Recorded:
        if len(self._recorded) == MAX_SHAPES:
            _, oldest = self._recorded.popitem(last=False)
            if oldest.free is not None:
                oldest.free.synchronize()  # its memory is given back, and another stream may get it
        static = x.clone()
        free = torch.cuda.Event() if x.is_cuda else None  # type: ignore[no-untyped-call]
        return _Recorded(static, *self._capture(self._function, static), free)
