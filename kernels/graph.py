"""CUDA graphs: the launches of one call recorded once for a shape, and replayed as one launch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
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
    # torch records on one stream of the device that was current the first time, unless it is told another.
    with current_device(static.device), torch.cuda.graph(graph, stream=side):
        result = function(static)
    return graph.replay, result


class Graphed:
    """``function`` of one CUDA tensor, without its launch cost from the second call of a shape on.

    The result of a call is a tensor of its own. Calls may come from several threads and run one after
    the other. ``function`` must do the same launches for the same shape, must not wait for the GPU, and
    its parameters must stay where they are: after changing any of them in another way than in place,
    make a new one.

    Args:
        function: tensor -> tensor.
        capture: records a call; replaced in tests.
    """

    def __init__(self, function: Function, capture: Capture = capture) -> None:
        self._function = function
        self._capture = capture
        self._recorded: OrderedDict[object, tuple[Tensor, Callable[[], None], Tensor]] = OrderedDict()
        self._lock = Lock()

    def __call__(self, x: Tensor) -> Tensor:
        key = (x.shape, x.dtype, x.device)
        with self._lock, torch.no_grad():
            if key not in self._recorded:
                static = x.clone()
                self._recorded[key] = (static, *self._capture(self._function, static))
                if len(self._recorded) > MAX_SHAPES:
                    self._recorded.popitem(last=False)
            self._recorded.move_to_end(key)
            static, replay, result = self._recorded[key]
            static.copy_(x)
            replay()
            return result.clone()
