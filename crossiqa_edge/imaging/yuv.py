"""Video pictures as their decoder leaves them: YUV planes, from which only what is sampled becomes RGB.

A score needs 7 x 7 tiles of a frame, so converting the whole frame first is wasted work that grows with
the resolution. ``sample_planes`` gathers the tiles from the planes and converts those alone; since the
conversion looks at one pixel at a time, the result is bit for bit that of converting the frame first.

The arithmetic is that of Recommendations ITU-R BT.601, BT.709 and BT.2020 (non-constant luminance), in
20-bit fixed point. Each chroma sample covers its whole block of luma samples, as in FFmpeg's default
conversion without scaling and in its ``neighbor`` with ``accurate_rnd+full_chroma_int``, which this
agrees with to one code value. Transfer functions and primaries are left as they are, as FFmpeg does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from crossiqa_edge.errors import ConfigError, InputError
from crossiqa_edge.imaging.sampling import (
    GRID,
    MIN_SIDE,
    Frame,
    Place,
    Views,
    sample,
    spread,
    tile_corners,
    views_a_picture,
    window_corners,
)

Plane = npt.NDArray[Any]  # (H, W), uint8 or uint16

# Matrix -> (Kr, Kb): the shares of red and blue in luma.
MATRICES = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
    "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087),
}
_FRACTION = 20  # bits; 2**20 times the largest sum of terms stays within int32 at every depth up to 16


@dataclass(frozen=True, slots=True)
class Planes:
    """One picture in YUV. The planes may be views of memory that a decoder owns: never written to.

    Attributes:
        luma: (H, W), uint8 for 8 bits, uint16 in native byte order for more.
        chroma: (Cb, Cr), each (ceil(H / v), ceil(W / h)) with v and h of 1, 2 or 4; None for grey.
        matrix: key of ``MATRICES``.
        full_range: whether black and white lie at 0 and 2**depth - 1 rather than at 16 and 235 (times
            2**(depth - 8)).
        depth: bits a sample, 8 to 16.
        shift: bits that samples stand to the left of their place (6 for P010), 0 for most.
    """

    luma: Plane
    chroma: tuple[Plane, Plane] | None
    matrix: str = "bt709"
    full_range: bool = False
    depth: int = 8
    shift: int = 0

    @classmethod
    def from_nv12(cls, array: Plane, *, matrix: str = "bt709", full_range: bool = False) -> Planes:
        """Planes of one NV12 picture, as hardware decoders give it; views of ``array``.

        Args:
            array: uint8 (H * 3 / 2, W), H and W even: luma, then a row of Cb and Cr by turns for each two.

        Raises:
            InputError: another shape or type.
        """
        rows, width = array.shape if array.ndim == 2 else (0, 0)
        if array.dtype != np.uint8 or rows % 3 or width % 2 or not rows:
            raise InputError(
                f"NV12 is uint8 (H * 3 / 2, W) with even H and W, this is {array.dtype} {array.shape}"
            )
        height = rows // 3 * 2
        return cls(array[:height], (array[height:, 0::2], array[height:, 1::2]), matrix, full_range)

    @property
    def blocks(self) -> tuple[int, int]:
        """(v, h): how many luma rows and columns share one chroma sample."""
        if self.chroma is None:
            return 1, 1
        rows, columns = self.chroma[0].shape
        return -(-self.luma.shape[0] // rows), -(-self.luma.shape[1] // columns)

    def cut(self, top: int, left: int, height: int, width: int) -> Planes:
        """The rectangle at a corner that is a multiple of ``blocks``, as views."""
        chroma = None
        if self.chroma is not None:
            v, h = self.blocks
            rows = slice(top // v, -(-(top + height) // v))
            columns = slice(left // h, -(-(left + width) // h))
            chroma = (self.chroma[0][rows, columns], self.chroma[1][rows, columns])
        return replace(self, luma=self.luma[top : top + height, left : left + width], chroma=chroma)

    def turned(self, quarters: int) -> Planes:
        """The picture turned counter-clockwise by ``quarters`` of a circle, as views.

        Sides must be multiples of ``blocks``: otherwise chroma blocks would begin at the wrong edge.
        """
        chroma = self.chroma and (np.rot90(self.chroma[0], quarters), np.rot90(self.chroma[1], quarters))
        return replace(self, luma=np.rot90(self.luma, quarters), chroma=chroma or None)


def to_rgb(planes: Planes) -> Frame:
    """The whole picture as uint8 (H, W, 3).

    Raises:
        ConfigError: unknown matrix.
    """
    return _converted(planes.luma, planes.chroma, planes)


def sample_planes(
    planes: Planes, sampling: str = "fragments", *, size: int = 224, views: int | None = None
) -> Views:
    """The views that ``sample`` takes of ``to_rgb(planes)``, uint8 (V, S, S, 3), bit for bit.

    Only the sampled pixels are converted. Arguments and errors are those of
    ``crossiqa_edge.imaging.sampling.sample``.
    """
    height, width = planes.luma.shape
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"{width} x {height} pixels are too few to judge; give at least {MIN_SIDE} x {MIN_SIDE}"
        )
    count = views_a_picture(sampling, views)
    tile, rest = divmod(size, GRID)
    if sampling == "fragments" and not rest and tile % 4 == 0 and min(height, width) >= tile:
        return np.stack([_fragments(planes, tile, place) for place in spread(count)])
    if sampling == "crops" and size % 4 == 0 and min(height, width) >= size:
        corners = window_corners(height, width, count, size)
        return np.stack([to_rgb(planes.cut(top, left, size, size)) for top, left in corners])
    return sample(to_rgb(planes), sampling, size=size, views=count)  # small pictures are reflected


def _fragments(planes: Planes, tile: int, place: Place) -> Frame:
    """One view of tiles; their corners are multiples of 8, their side one of 4: whole chroma blocks."""
    rows = tile_corners(planes.luma.shape[0], tile, place[0])
    columns = tile_corners(planes.luma.shape[1], tile, place[1])
    luma = _gathered(planes.luma, rows, columns, (1, 1), tile)
    chroma = planes.chroma and (
        _gathered(planes.chroma[0], rows, columns, planes.blocks, tile),
        _gathered(planes.chroma[1], rows, columns, planes.blocks, tile),
    )
    return _converted(luma, chroma or None, planes)


def _gathered(plane: Plane, rows: list[int], columns: list[int], blocks: tuple[int, int], tile: int) -> Plane:
    """The tiles of one plane side by side; corners and ``tile`` are in luma pixels."""
    v, h = blocks
    high, wide = tile // v, tile // h
    view = np.empty((GRID, high, GRID, wide), plane.dtype)
    for i, top in enumerate(rows):
        band = plane[top // v : top // v + high]
        for j, left in enumerate(columns):
            view[i, :, j] = band[:, left // h : left // h + wide]
    return view.reshape(GRID * high, GRID * wide)


def _converted(luma: Plane, chroma: tuple[Plane, Plane] | None, kind: Planes) -> Frame:
    """RGB of planes, in the colour that ``kind`` tells."""
    factors = fixed_point_factors(kind.matrix, kind.full_range, kind.depth)
    grey = (luma >> kind.shift if kind.shift else luma).astype(np.int32)
    grey *= factors.luma
    grey += factors.bias
    frame = np.empty((*luma.shape, 3), np.uint8)
    if chroma is None:
        frame[:] = _code_values(grey)[..., None]
        return frame
    v, h = replace(kind, luma=luma, chroma=chroma).blocks
    blue, red = (_widened(plane, h, luma.shape[1], kind, factors.middle) for plane in chroma)
    terms = (
        red * factors.red_in_red,
        blue * factors.blue_in_green + red * factors.red_in_green,
        blue * factors.blue_in_blue,
    )
    for channel, term in enumerate(terms):
        frame[..., channel] = _code_values(grey + np.repeat(term, v, axis=0)[: len(grey)])
    return frame


def _widened(plane: Plane, times: int, width: int, kind: Planes, middle: int) -> npt.NDArray[np.int32]:
    """Chroma around 0, each sample repeated ``times`` along its row."""
    wide = np.repeat(plane, times, axis=1)[:, :width] if times > 1 else plane
    centred: npt.NDArray[np.int32] = (wide >> kind.shift if kind.shift else wide).astype(np.int32) - middle
    return centred


def _code_values(scaled: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    scaled >>= _FRACTION
    return np.clip(scaled, 0, 255, out=scaled)


@dataclass(frozen=True, slots=True)
class FixedPointFactors:
    """What luma and centred chroma are multiplied by, in units of 2**-20."""

    luma: int
    bias: int  # black level and rounding
    middle: int  # the code of no chroma
    red_in_red: int
    red_in_green: int
    blue_in_green: int
    blue_in_blue: int


@lru_cache(maxsize=64)
def fixed_point_factors(matrix: str, full_range: bool, depth: int) -> FixedPointFactors:
    """Factors from code values of ``depth`` bits to 0..255, in 20-bit fixed point.

    Raises:
        ConfigError: unknown matrix.
    """
    if matrix not in MATRICES:
        raise ConfigError(f"unknown colour matrix {matrix!r}; choose from {', '.join(MATRICES)}")
    red, blue = MATRICES[matrix]
    green = 1 - red - blue
    one = 255 * (1 << _FRACTION)
    luma = one / ((1 << depth) - 1 if full_range else 219 << (depth - 8))
    chroma = one / ((1 << depth) - 1 if full_range else 224 << (depth - 8))
    black = 0 if full_range else 16 << (depth - 8)
    return FixedPointFactors(
        luma=round(luma),
        bias=(1 << (_FRACTION - 1)) - black * round(luma),
        middle=1 << (depth - 1),
        red_in_red=round(chroma * 2 * (1 - red)),
        red_in_green=-round(chroma * 2 * (1 - red) * red / green),
        blue_in_green=-round(chroma * 2 * (1 - blue) * blue / green),
        blue_in_blue=round(chroma * 2 * (1 - blue)),
    )
