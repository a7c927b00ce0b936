"""From a picture to the network's views, at native resolution: nothing is ever resized.

Quality lives in native pixels, so a picture of any size is sampled, not squeezed. ``fragments`` follows
the idea of grid mini-patch sampling (Wu et al., FAST-VQA, ECCV 2022): one tile from each cell of a grid,
laid side by side as one view, so that the cost does not grow with the resolution. ``crops`` takes whole
windows. Of either, a picture may have several views: more of it is seen, at so many times the cost.

Every corner lies on a multiple of ``ALIGNMENT`` pixels: block codecs quantise on a grid that begins at
the picture's corner, and a network that always meets it at the same phase can tell blocking from
texture far more easily.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crossiqa_edge.errors import ConfigError, InputError

Frame = npt.NDArray[np.uint8]  # (H, W, 3), RGB
Views = npt.NDArray[np.uint8]  # (V, S, S, 3), RGB
Place = tuple[float, float]  # of a tile in its cell, or a window in its picture: down and across, 0 to 1

USUAL_VIEWS = {"fragments": 1, "crops": 5}  # of a picture, by sampling
SAMPLINGS = tuple(USUAL_VIEWS)
ALIGNMENT = 8
GRID = 7
MIN_SIDE = 32  # one tile


def sample(frame: Frame, sampling: str = "fragments", *, size: int = 224, views: int | None = None) -> Views:
    """Views of one picture.

    Args:
        frame: uint8 (H, W, 3); sides of at least ``MIN_SIDE``.
        sampling: ``fragments`` or ``crops``.
        size: side S of a view in pixels, a multiple of ``GRID`` for fragments.
        views: how many, V; the first is of the centre, of the picture (crops) or of each cell (fragments),
            more are spread over it. None takes ``USUAL_VIEWS``.

    Returns:
        uint8 (V, S, S, 3).

    Raises:
        InputError: the picture is too small or not uint8 (H, W, 3).
        ConfigError: unknown sampling, or a bad ``size`` or ``views``.
    """
    count = views_a_picture(sampling, views)
    if sampling == "fragments":
        return np.stack([fragments(frame, size=size, place=place) for place in spread(count)])
    return windows(frame, count, size=size)


def views_a_picture(sampling: str, views: int | None = None) -> int:
    """How many views ``sample`` takes of a picture when it is asked for ``views``.

    Raises:
        ConfigError: unknown sampling, or fewer than one view.
    """
    if sampling not in USUAL_VIEWS:
        raise ConfigError(f"unknown sampling {sampling!r}; choose from {', '.join(SAMPLINGS)}")
    count = USUAL_VIEWS[sampling] if views is None else views
    if count < 1:
        raise ConfigError(f"views must be at least 1, not {count}")
    return count


def check_frame(frame: Frame) -> None:
    """Raise InputError unless ``frame`` is uint8 (H, W, 3) with sides of at least ``MIN_SIDE``."""
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise InputError(
            f"a frame is uint8 (H, W, 3), this is {frame.dtype} {frame.shape}; convert it to RGB"
        )
    height, width = frame.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"{width} x {height} pixels are too few to judge; give at least {MIN_SIDE} x {MIN_SIDE}"
        )


def fragments(frame: Frame, *, size: int = 224, place: Place = (0.5, 0.5)) -> Frame:
    """One view (S, S, 3) of ``GRID`` x ``GRID`` native tiles, one from each grid cell, at ``place`` in it.

    In a picture narrower than the view the tiles overlap; one narrower than a tile is continued by
    reflection.
    """
    check_frame(frame)
    tile, rest = divmod(size, GRID)
    if rest or not tile:
        raise ConfigError(
            f"a view of {size} pixels cannot hold {GRID} x {GRID} tiles; use a multiple of {GRID}"
        )
    frame = reflect_to(frame, tile)
    rows = tile_corners(frame.shape[0], tile, place[0])
    columns = tile_corners(frame.shape[1], tile, place[1])
    view = np.empty((size, size, 3), np.uint8)
    for i, top in enumerate(rows):
        for j, left in enumerate(columns):
            view[i * tile : (i + 1) * tile, j * tile : (j + 1) * tile] = frame[
                top : top + tile, left : left + tile
            ]
    return view


def windows(frame: Frame, count: int, *, size: int = 224) -> Views:
    """``count`` windows (V, S, S, 3), at least one: the centre, then along the diagonals from the corners in.

    A picture smaller than a window is continued by reflection, which adds no edges of its own.
    """
    check_frame(frame)
    frame = reflect_to(frame, size)
    corners = window_corners(frame.shape[0], frame.shape[1], count, size)
    return np.stack([frame[top : top + size, left : left + size] for top, left in corners])


def reflect_to(frame: Frame, size: int) -> Frame:
    """``frame``, continued by reflection to the right and below until both sides reach ``size``.

    Sides of at least 2: a single row has nothing to reflect.
    """
    while min(frame.shape[:2]) < size:
        grow = [min(max(size - side, 0), side - 1) for side in frame.shape[:2]]
        frame = np.pad(frame, ((0, grow[0]), (0, grow[1]), (0, 0)), mode="reflect")
    return frame


def tile_corners(length: int, tile: int, place: float = 0.5) -> list[int]:
    """Where ``fragments`` begins its tiles along a side of ``length``, at least ``tile``, pixels.

    Each lies at ``place`` in its cell: 0 at the beginning, 1 at the end.
    """
    cell = length / GRID
    return [_aligned(i * cell + place * (cell - tile), length - tile) for i in range(GRID)]


def window_corners(height: int, width: int, count: int, size: int) -> list[tuple[int, int]]:
    """(top, left) of each window that ``windows`` takes; sides of at least ``size`` pixels."""
    room_y, room_x = height - size, width - size
    return [(_aligned(v * room_y, room_y), _aligned(u * room_x, room_x)) for v, u in spread(count)]


def _aligned(position: float, largest: int) -> int:
    """The multiple of ALIGNMENT nearest to ``position`` within 0..largest."""
    nearest = int(position / ALIGNMENT + 0.5) * ALIGNMENT
    return min(max(nearest, 0), largest // ALIGNMENT * ALIGNMENT)


def spread(count: int) -> list[Place]:
    """Where ``count`` views lie: at the centre, then in rings of four on the diagonals, widest first."""
    points = [(0.5, 0.5)]
    rings = -(-(count - 1) // 4)
    for ring in range(rings, 0, -1):
        reach = 0.5 * ring / rings
        points += [
            (0.5 - reach, 0.5 - reach),
            (0.5 + reach, 0.5 + reach),
            (0.5 - reach, 0.5 + reach),
            (0.5 + reach, 0.5 - reach),
        ]
    return points[:count]
