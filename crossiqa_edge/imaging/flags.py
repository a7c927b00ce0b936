"""Reasons to doubt a picture's score: it shows nothing, is too small, or is no photograph.

People were asked about photographs, so a score of anything else is an extrapolation that no interval
covers. What is looked at are the views that the network sees, so the cost does not grow with the picture.
Luma is 0 (black) to 255 (white) throughout.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crossiqa_edge.imaging.sampling import Views

Luma = npt.NDArray[np.uint8]

FLAGS = ("tiny", "blank", "graphics", "synthetic")

BLACK = 16  # luma of what counts as black, with room for a codec's noise
_BLACK_SHARE = 0.98  # of the points; a channel's logo may stay
_FLAT_DEVIATION = 1.5  # luma; the noise of a codec on a uniform field stays below

# A page, a screen or a plot has empty paper, strokes of high contrast on it, and little between the two; and
# it has few shades. A photograph of little light has few shades too, but is full of gentle slopes; one
# before a white wall has paper, but slopes as well. The limits were set on 2,227 photographs and on drawn
# pages, screens and plots, as PNG and as JPEG and WebP: docs/score.md says how often each is flagged.
_BLOCK = 8  # pixels, the block of JPEG, whose seams are the views' own
_EMPTY = 6  # luma from darkest to brightest within an empty block: JPEG's ripples on paper stay below
_GENTLE = 24  # the same, within a block of gentle slopes
_LEAST_EMPTY = 0.15  # share of all blocks
_MOST_GENTLE = 0.2  # share of the blocks that are not empty
_MOST_SHADES = 40.0  # effective number, see ``_shades``

# In a photograph neighbours are alike, but not the same, and there are more than two shades. The same sets,
# and 30 of them under every degradation at its worst level, keep a distance: where they are not blank, their
# neighbours correlate by 0.31 or more and differ by 0.24 or more in either direction, in 2.6 shades at least.
_LEAST_CORRELATION = 0.2
_LEAST_DIFFERENCE = 0.05  # luma, mean
_LEAST_SHADES = 2.3


def picture_flags(size: tuple[int, int], views: Views) -> tuple[str, ...]:
    """Those of ``FLAGS`` that hold.

    ``tiny``: a side is shorter than a view, so that a view shows some parts twice. ``blank``: all black, or
    one uniform field. ``graphics``: text, a screen, a plot or a drawing. ``synthetic``: noise, bars, a ramp,
    or no more than two shades.

    Args:
        size: (height, width) of the picture in pixels.
        views: what was sampled from it, uint8 (V, S, S, 3).
    """
    luma = luma_of(views)
    blank = is_black(luma) or is_flat(luma)
    graphics = not blank and is_graphics(luma)
    synthetic = not blank and not graphics and is_synthetic(luma)
    found = (min(size) < views.shape[1], blank, graphics, synthetic)
    return tuple(name for name, holds in zip(FLAGS, found, strict=True) if holds)


def luma_of(views: Views) -> Luma:
    """Luma of RGB by the weights of ITU-R BT.601 in 256ths, rounded down: uint8 (V, S, S)."""
    luma = views[..., 0] * np.uint16(77)  # at most 65,280 in the end
    luma += views[..., 1] * np.uint16(150)
    luma += views[..., 2] * np.uint16(29)
    luma >>= 8
    return luma.astype(np.uint8)


def is_black(luma: Luma) -> bool:
    """Whether nearly everything is black."""
    return bool(np.count_nonzero(luma <= BLACK) >= _BLACK_SHARE * luma.size)


def is_flat(luma: Luma) -> bool:
    """Whether all of it is one uniform field."""
    return bool(luma.std() < _FLAT_DEVIATION)


def is_graphics(luma: Luma) -> bool:
    """Whether views (V, S, S) are of something drawn: text, a screen, a plot."""
    along = luma.shape[1] // _BLOCK
    whole = luma[:, : along * _BLOCK, : along * _BLOCK]
    rows = whole.reshape(len(luma), along, _BLOCK, along * _BLOCK)  # whole lines first: they lie together
    shape = (len(luma), along, along, _BLOCK)
    span = rows.max(axis=2).reshape(shape).max(axis=3) - rows.min(axis=2).reshape(shape).min(axis=3)
    empty = np.count_nonzero(span <= _EMPTY)
    gentle = np.count_nonzero(span < _GENTLE) - empty
    return bool(
        empty > _LEAST_EMPTY * span.size
        and gentle < _MOST_GENTLE * (span.size - empty)
        and _shades(luma) < _MOST_SHADES
    )


def is_synthetic(luma: Luma) -> bool:
    """Whether views (V, S, S) that are not blank show noise, bars or a ramp along an axis, or two shades."""
    down, across = _differences(luma)
    unrelated = 2 * float(
        luma.var()
    )  # mean square difference of points that have nothing to do with each other
    correlation = [1 - float(steps @ steps) / (unrelated * steps.size) for steps in (down, across)]
    difference = [float(np.abs(steps).mean()) for steps in (down, across)]
    return (
        max(correlation) < _LEAST_CORRELATION
        or min(difference) < _LEAST_DIFFERENCE
        or _shades(luma) < _LEAST_SHADES
    )


def _differences(luma: Luma) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Of neighbours within blocks, downwards and across, flat: seams of blocks may be those of tiles."""
    count, along = len(luma), luma.shape[1] // _BLOCK
    blocks = luma[:, : along * _BLOCK, : along * _BLOCK].astype(np.float32)
    blocks = blocks.reshape(count, along, _BLOCK, along, _BLOCK)
    return np.diff(blocks, axis=2).ravel(), np.diff(blocks, axis=4).ravel()


def _shades(luma: Luma) -> float:
    """Effective number of luma levels: the exponential of their entropy, 1 (uniform) to 256."""
    share = np.bincount(luma.ravel(), minlength=256) / luma.size
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))
