"""Frames that there is no point in scoring, shots, and bars: seen on a small sample of each frame's luma.

Luma here is full range, 0 (black) to 255, as ``VideoFrame.luma`` gives it. A frame is tested against one
reason after the other, so it carries one of ``black``, ``flat`` and ``frozen`` at most.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crossiqa_edge.imaging.flags import BLACK, Luma
from crossiqa_edge.imaging.sampling import ALIGNMENT, MIN_SIDE, Views
from crossiqa_edge.video.frames import VideoFrame

Box = tuple[int, int, int, int]  # top, left, bottom, right; pixels

# A cut: the picture changes by much, by much more than it did lately, and in its brightnesses too, which
# a fast pan over detail leaves as they are.
_CUT_CHANGE = 12.0  # mean absolute difference of luma
_CUT_RATIO = 2.5
_CUT_HISTOGRAM = 0.30  # distance of histograms, 0 to 2
_BINS = 32
_MEMORY = 0.2  # share of the newest change in the running mean

_LEAST_BAR = 0.03  # of the side; thinner dark edges are left-overs of scaling, not bars
_UNEVEN = 0.04  # of the side, by which two bars may differ
_POINTS = 128  # of a line, that decide whether it is black


class Freeze:
    """Tells a frame that repeats the one before it, sample for sample."""

    def __init__(self) -> None:
        self._luma: Luma | None = None
        self._views: Views | None = None

    def repeats(self, luma: Luma, views: Views) -> bool:
        """Whether ``luma`` and ``views`` are those of the previous call."""
        same = (
            self._luma is not None
            and self._views is not None
            and np.array_equal(self._luma, luma)
            and np.array_equal(self._views, views)
        )
        self._luma, self._views = luma, views
        return same


class Cuts:
    """Tells a frame that begins a new shot; a change of size is one, the first frame is none."""

    def __init__(self) -> None:
        self._luma: npt.NDArray[np.int16] | None = None
        self._histogram: npt.NDArray[np.float64] | None = None
        self._usual = 0.0  # running mean of the change from frame to frame

    def begins(self, luma: Luma) -> bool:
        """Whether a new shot begins with ``luma``."""
        now = luma.astype(np.int16)
        histogram = np.bincount((luma >> 3).ravel(), minlength=_BINS) / luma.size
        before, histogram_before = self._luma, self._histogram
        self._luma, self._histogram = now, histogram
        if before is None or histogram_before is None:
            return False
        if before.shape != now.shape:
            return True
        change = float(np.abs(now - before).mean())
        cut = (
            change > max(_CUT_CHANGE, _CUT_RATIO * self._usual)
            and float(np.abs(histogram - histogram_before).sum()) > _CUT_HISTOGRAM
        )
        if not cut:
            self._usual += _MEMORY * (change - self._usual)
        return cut


class Bars:
    """Finds the picture between black bars, above and below or at both sides.

    In the dark, bars look larger than they are. So, until a cut, the picture only grows: what has once
    been seen lit is no bar.
    """

    def __init__(self) -> None:
        self._box: Box | None = None
        self._size = (0, 0)

    def picture(self, frame: VideoFrame, luma: Luma, *, cut: bool) -> Box | None:
        """The box of the picture, its edges multiples of ``ALIGNMENT`` inside it; None without bars."""
        if cut or frame.size != self._size:
            self._box, self._size = None, frame.size
        height, width = frame.size
        whole = (0, 0, height, width)
        if self._box != whole:
            box = _inside_bars(frame) if _dark_edges(luma) else whole
            self._box = box if self._box is None else _union(self._box, box)
        top, left, bottom, right = self._box
        inner = (
            -(-top // ALIGNMENT) * ALIGNMENT,
            -(-left // ALIGNMENT) * ALIGNMENT,
            bottom if bottom == height else bottom // ALIGNMENT * ALIGNMENT,
            right if right == width else right // ALIGNMENT * ALIGNMENT,
        )
        large_enough = min(inner[2] - inner[0], inner[3] - inner[1]) >= MIN_SIDE
        return inner if self._box != whole and large_enough else None


def _dark_edges(luma: Luma) -> bool:
    edges = ((luma[0], luma[-1]), (luma[:, 0], luma[:, -1]))
    return any(first.max() <= BLACK and last.max() <= BLACK for first, last in edges)


def _inside_bars(frame: VideoFrame) -> Box:
    """The box inside the bars, from whole lines rather than from the coarse sample."""
    height, width = frame.size
    every = slice(None)
    rows = frame.luma_at(every, slice(None, None, max(1, width // _POINTS))).max(axis=1)
    columns = frame.luma_at(slice(None, None, max(1, height // _POINTS)), every).max(axis=0)
    (top, bottom), (left, right) = _between_bars(rows), _between_bars(columns)
    return top, left, bottom, right


def _between_bars(brightest: Luma) -> tuple[int, int]:
    """Where the picture begins and ends along a side, given each line's brightest point."""
    length = len(brightest)
    lit = np.flatnonzero(brightest > BLACK)
    if not len(lit):
        return 0, length
    before, after = int(lit[0]), length - 1 - int(lit[-1])
    bars = min(before, after) >= _LEAST_BAR * length and abs(before - after) <= _UNEVEN * length
    return (before, length - after) if bars else (0, length)


def _union(one: Box, other: Box) -> Box:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])
