"""Displacements and replacements in the plane: jitter, misplaced patches, coarse pixels, blocks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from crossiqa_edge.data.degradations.pixels import Plane, Planes, to_bytes, to_planes
from crossiqa_edge.imaging.sampling import Frame

_PASSES = 5
_PATCH = 16
_REACH = 8  # pixels that a patch is moved at most, in each direction
_BLOCK = 32
_PUBLISHED_AREA = 512 * 384  # of KADID-10k's pictures, for which the counts are meant


def jitter(image: Frame, amount: float, generator: np.random.Generator) -> Frame:
    """Every pixel displaced by Gaussian offsets of ``amount`` pixels, five times over, bilinearly."""
    planes = to_planes(image)
    for _ in range(_PASSES):
        offsets = generator.standard_normal((2, *image.shape[:2]), np.float32)
        offsets *= np.float32(amount)
        planes = warp(planes, offsets)
    return to_bytes(planes)


def non_eccentricity_patch(image: Frame, count: float, generator: np.random.Generator) -> Frame:
    """Squares of 16 pixels copied to a place up to 8 pixels off, ``count`` to 512 x 384 pixels."""
    damaged: Frame = image.copy()
    height, width = image.shape[:2]
    for side in _sides(count, _PATCH, height * width):
        top, left = generator.random(2) * (height - side + 1, width - side + 1)
        shift = generator.uniform(-_REACH, _REACH, 2)
        to_top = int(np.clip(round(top + shift[0]), 0, height - side))
        to_left = int(np.clip(round(left + shift[1]), 0, width - side))
        patch = damaged[int(top) : int(top) + side, int(left) : int(left) + side].copy()
        damaged[to_top : to_top + side, to_left : to_left + side] = patch
    return damaged


def pixelate(image: Frame, strength: float, generator: np.random.Generator) -> Frame:
    """Reduced to 0.95 - ``strength``^0.6 of the size and enlarged again, both by the nearest pixel."""
    scale = 0.95 - strength**0.6
    rows, columns = (_nearest(side, int(np.ceil(scale * side))) for side in image.shape[:2])
    coarse: Frame = image[rows][:, columns]
    return coarse


def colour_block(image: Frame, count: float, generator: np.random.Generator) -> Frame:
    """Squares of 32 pixels of one random colour each, ``count`` to 512 x 384 pixels."""
    damaged: Frame = image.copy()
    height, width = image.shape[:2]
    for side in _sides(count, _BLOCK, height * width):
        top, left = (generator.random(2) * (height - side + 1, width - side + 1)).astype(int)
        damaged[top : top + side, left : left + side] = generator.integers(0, 256, 3, np.uint8)
    return damaged


def warp(planes: Planes, offsets: Plane) -> Planes:
    """``planes`` (3, H, W) read at each pixel plus ``offsets`` (2, H, W: down, right), bilinearly.

    Positions beyond the border read the border.
    """
    height, width = planes.shape[1:]
    if min(height, width) < 2:  # a neighbour to read beside the only row or column: the border again
        extra = ((0, 0), (0, height < 2), (0, width < 2))
        return warp(np.pad(planes, extra, "edge"), np.pad(offsets, extra, "edge"))[:, :height, :width]
    y = np.clip(offsets[0] + np.arange(height, dtype=np.float32)[:, None], 0, height - 1)
    x = np.clip(offsets[1] + np.arange(width, dtype=np.float32), 0, width - 1)
    top = np.minimum(y.astype(np.int32), height - 2)
    left = np.minimum(x.astype(np.int32), width - 2)
    y -= top
    x -= left
    corner = top * np.int32(width) + left
    warped = np.empty_like(planes)
    for plane, result in zip(planes.reshape(3, -1), warped, strict=True):
        upper = _between(plane[corner], plane[1:][corner], x)
        lower = _between(plane[width:][corner], plane[width + 1 :][corner], x)
        result[:] = _between(upper, lower, y)
    return warped


def _between(first: Plane, second: Plane, share: Plane) -> Plane:
    second -= first
    second *= share
    second += first
    return second


def _nearest(side: int, small: int) -> npt.NDArray[np.intp]:
    """For each of ``side`` positions, the one it shows after a detour over ``small`` samples."""
    up = ((np.arange(side) + 0.5) * small / side).astype(np.intp)
    return ((up + 0.5) * side / small).astype(np.intp)


def _sides(count: float, side: int, area: int) -> Iterator[int]:
    """Sides of the squares for a picture of ``area`` pixels: ``count`` scaled with the area.

    A fraction left over is one smaller square, so that the share of the picture that is hit grows with
    ``count`` in the smallest crop, too.
    """
    scaled = count * area / _PUBLISHED_AREA
    yield from [side] * int(scaled)
    rest = round(side * np.sqrt(scaled % 1))
    if rest:
        yield rest
