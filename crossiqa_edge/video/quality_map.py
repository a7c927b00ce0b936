"""Where in a frame quality is lost: what each fragment of its view contributed to the score it got.

What is explained is one view of ``GRID`` x ``GRID`` fragments. The contribution of a fragment is its
Shapley value in a game of fragments: a coalition's worth is the score of the view in which the others are
replaced by other fragments of the same frame. Nothing foreign comes in, since grey or noise would itself look
like a fault. So the contributions compare the fragments of one frame with each other; what harms all of them
alike cannot show.

The values are estimated by walks (Castro, Gomez and Tejada, Computers & Operations Research 36, 2009; to
explain a model: Lundberg and Lee, NeurIPS 2017). A walk begins at a view of shuffled fragments, puts one
after the other back in its place, in random order, and notes by how much each moved the score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
import numpy.typing as npt

from crossiqa_edge.imaging.sampling import GRID, Frame, Views, fragments, tile_corners
from crossiqa_edge.video.flags import Bars, Box
from crossiqa_edge.video.frames import VideoFrame

_COUNT = GRID * GRID
_BATCH = 32

_Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class QualityMap:
    """Contributions of a frame's fragments to its score, by row and column of the grid.

    Attributes:
        contributions: float64 (GRID, GRID), points of 100; negative where the fragment lowers the score. They
            add up to ``score`` less ``baseline``.
        score: of the frame, 0..100.
        baseline: mean score of the shuffled views from which the walks began, 0..100.
        box: the part of the frame that was scored: top, left, bottom, right in pixels.
        tile: side of a fragment in pixels.
    """

    contributions: npt.NDArray[np.float64]
    score: float
    baseline: float
    box: Box
    tile: int

    def cell(self, row: int, column: int) -> Box:
        """The part of the frame that the fragment stands for: top, left, bottom, right in pixels."""
        top, left, bottom, right = self.box
        rows, columns = (
            [start + round(place * (stop - start) / GRID) for place in range(GRID + 1)]
            for start, stop in ((top, bottom), (left, right))
        )
        return rows[row], columns[column], rows[row + 1], columns[column + 1]

    def fragment(self, row: int, column: int) -> Box:
        """Where the fragment lies in the frame: top, left, bottom, right in pixels.

        It reaches beyond a frame that is narrower than a fragment and was continued by reflection.
        """
        top, left, bottom, right = self.box
        y = top + tile_corners(max(bottom - top, self.tile), self.tile)[row]
        x = left + tile_corners(max(right - left, self.tile), self.tile)[column]
        return y, x, y + self.tile, x + self.tile


def quality_map(
    frame: Frame,
    infer: Callable[[Views], npt.NDArray[np.float32]],
    *,
    size: int = 224,
    walks: int,
    box: Box | None = None,
    track: Callable[[Iterator[Frame]], Iterator[Frame]] = iter,
) -> QualityMap:
    """What each fragment of ``frame``, uint8 (H, W, 3), contributed; equal arguments give equal maps.

    Takes ``49 * walks + 1`` views, at most 32 in one inference.

    Args:
        infer: what scores views, ``Backend.infer``.
        size: side of the network's views in pixels.
        walks: 1 to 48. More take longer and leave less to chance: the error falls with their square root.
        box: the part of the frame that was scored: top, left, bottom, right in pixels; None for all of it.
        track: wraps the views, to show progress.

    Raises:
        InputError: the frame is too small or not uint8 (H, W, 3).
        BackendError: the runtime failed.
    """
    box = box or (0, 0, frame.shape[0], frame.shape[1])
    view = fragments(frame[box[0] : box[2], box[1] : box[3]], size=size)
    tile = size // GRID
    orders, replacements = _plan(walks)
    paths = (_walk(view, *plan, tile) for plan in zip(orders, replacements, strict=True))
    scores = _scores(track(chain([view], chain.from_iterable(paths))), infer)
    before = scores[1:].reshape(walks, _COUNT)
    after = np.column_stack([before[:, 1:], np.full(walks, scores[0])])
    contributions = np.empty((walks, _COUNT))
    np.put_along_axis(contributions, orders, after - before, axis=1)
    return QualityMap(
        contributions=contributions.mean(0).reshape(GRID, GRID),
        score=float(scores[0]),
        baseline=float(before[:, 0].mean()),
        box=box,
        tile=tile,
    )


def box_of(frame: Frame) -> Box | None:
    """The picture between the bars of a letterboxed frame, uint8 (H, W, 3), as it alone shows them."""
    alone = VideoFrame(0, 0.0, frame)
    return Bars().picture(alone, alone.luma(), cut=False)


def _plan(walks: int) -> tuple[_Places, _Places]:
    """The order in which each walk puts fragments back, and which fragment stands in for each until then.

    Two arrays (``walks``, 49) of places in the view. Every second walk goes the way of the one before it
    backwards, so that a fragment that came early comes late too (antithetic sampling: Mitchell et al., JMLR
    23, 2022). No fragment stands in for itself, nor twice for the same one, and each walk uses every one.
    """
    generator = np.random.default_rng(0)
    forward = [generator.permutation(_COUNT) for _ in range(-(-walks // 2))]
    orders = np.stack([way for order in forward for way in (order, order[::-1])][:walks])
    circle = generator.permutation(_COUNT)
    shifts = generator.choice(np.arange(1, _COUNT), walks, replace=False)
    replacements = np.empty((walks, _COUNT), np.int64)
    for replacement, shift in zip(replacements, shifts, strict=True):
        replacement[circle] = np.roll(circle, shift)
    return orders, replacements


def _walk(view: Frame, order: _Places, replacement: _Places, tile: int) -> Iterator[Frame]:
    """The view of replacements, and each further one with one more fragment put back, but for ``view``."""
    mixed = np.empty_like(view)
    for place, other in enumerate(replacement):
        mixed[_at(place, tile)] = view[_at(int(other), tile)]
    for place in order:
        yield mixed.copy()
        mixed[_at(int(place), tile)] = view[_at(int(place), tile)]


def _at(place: int, tile: int) -> tuple[slice, slice]:
    row, column = divmod(place, GRID)
    return slice(row * tile, (row + 1) * tile), slice(column * tile, (column + 1) * tile)


def _scores(
    views: Iterator[Frame], infer: Callable[[Views], npt.NDArray[np.float32]]
) -> npt.NDArray[np.float64]:
    parts = []
    while batch := list(islice(views, _BATCH)):
        parts.append(infer(np.stack(batch)).astype(np.float64))
    return np.concatenate(parts)
