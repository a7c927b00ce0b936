"""Where in a frame quality is lost: the score of each of its windows, laid over the frame.

A window of at most 224 x 224 native pixels is scored as if it were a picture of its own. Every place gets
the mean score of the windows that cover it, each the heavier the nearer its middle is. This compares places
of one frame with each other; the frame's own score looks at all of it at once and is not the map's mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
import numpy.typing as npt

from crossiqa_edge.imaging.sampling import ALIGNMENT, Frame, Views, check_frame, reflect_to

_SMALLEST = 64  # pixels: a window below that says little
_MOST = 200  # windows a frame where they can cover it; more would take longer and show no more
_BATCH = 32


@dataclass(frozen=True, slots=True)
class QualityMap:
    """Scores over a frame.

    Attributes:
        scores: float64 (ceil(H / 8), ceil(W / 8)), 0..100, one a block of 8 x 8 pixels.
        side: of a window, in pixels.
        windows: how many were scored.
    """

    scores: npt.NDArray[np.float64]
    side: int
    windows: int


def quality_map(
    frame: Frame, infer: Callable[[Views], npt.NDArray[np.float32]], *, size: int = 224
) -> QualityMap:
    """Score the windows of ``frame``, uint8 (H, W, 3).

    Windows are half the frame's shorter side, at most ``size`` and at least 64 pixels, overlap by half or,
    in large frames, less, and begin on multiples of 8. Smaller ones than ``size`` are continued by
    reflection for the network, as small pictures are.

    Args:
        infer: what scores views, ``Backend.infer``.
        size: side of the network's views.

    Raises:
        InputError: the frame is too small or not uint8 (H, W, 3).
        BackendError: the runtime failed.
    """
    check_frame(frame)
    height, width = frame.shape[:2]
    side = min(max(min(height, width) // 2 // ALIGNMENT * ALIGNMENT, _SMALLEST), size, height, width)
    step = min(max(side / 2, sqrt(height * width / _MOST)), side - ALIGNMENT)  # no place is left out
    corners = [(top, left) for top in _corners(height, side, step) for left in _corners(width, side, step)]
    views = [reflect_to(frame[top : top + side, left : left + side], size) for top, left in corners]
    scores = np.concatenate(
        [infer(np.stack(views[start : start + _BATCH])) for start in range(0, len(views), _BATCH)]
    )
    tent = _tent(-(-side // ALIGNMENT))
    total = np.zeros((-(-height // ALIGNMENT), -(-width // ALIGNMENT)))
    weight = np.zeros_like(total)
    for (top, left), score in zip(corners, scores, strict=True):
        covered = np.s_[
            top // ALIGNMENT : top // ALIGNMENT + len(tent), left // ALIGNMENT : left // ALIGNMENT + len(tent)
        ]
        total[covered] += score * tent
        weight[covered] += tent
    return QualityMap(_filled(total, weight), side, len(corners))


def _tent(blocks: int) -> npt.NDArray[np.float64]:
    """(blocks, blocks): 1 in the middle of a window, falling to nearly nothing at its edges."""
    fall = 1 - np.abs(2 * (np.arange(blocks) + 0.5) / blocks - 1)
    return np.outer(fall, fall)


def _corners(length: int, side: int, step: float) -> list[int]:
    """Corners from 0 to the last that fits, evenly spread, on multiples of ALIGNMENT."""
    room = length - side
    count = ceil(room / step) + 1
    places = np.linspace(0, room, count) // ALIGNMENT * ALIGNMENT
    return sorted({int(place) for place in places})


def _filled(total: npt.NDArray[np.float64], weight: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Means; the few pixels at the edges that alignment left uncovered get those of their neighbours."""
    rows, columns = (np.flatnonzero((weight > 0).any(axis)) for axis in (1, 0))
    covered = np.s_[: rows[-1] + 1, : columns[-1] + 1]
    missing = [
        (0, whole - last - 1) for whole, last in zip(total.shape, (rows[-1], columns[-1]), strict=True)
    ]
    return np.pad(total[covered] / weight[covered], missing, mode="edge")
