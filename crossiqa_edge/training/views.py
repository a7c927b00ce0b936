"""Training views: random windows and fragments, with the codec grid's phase mostly kept."""

from __future__ import annotations

import numpy as np

from crossiqa_edge.imaging.sampling import ALIGNMENT, Frame, reflect_to

# The sampler meets block codecs at one phase of their grid, so most training views do too; the others
# keep the network from taking that for granted, since a cropped or scaled picture has any phase.
ALIGNED_SHARE = 0.75
TILE = 32


def cut(picture: Frame, generator: np.random.Generator, size: int, fragment_share: float = 0.0) -> Frame:
    """One random view (S, S, 3) of a picture, mirrored half of the time."""
    picture = reflect_to(picture, size)
    make = fragments if generator.random() < fragment_share else window
    view = make(picture, generator, size)
    return view[:, ::-1] if generator.random() < 0.5 else view


def window(picture: Frame, generator: np.random.Generator, size: int) -> Frame:
    """A window at a random place."""
    top, left = (_position(side - size, generator) for side in picture.shape[:2])
    return picture[top : top + size, left : left + size]


def fragments(picture: Frame, generator: np.random.Generator, size: int) -> Frame:
    """One tile from a random place of each cell of a grid, laid side by side."""
    cells = size // TILE
    bands = [np.linspace(0, side - TILE, cells + 1) for side in picture.shape[:2]]
    view = np.empty((size, size, 3), np.uint8)
    for i in range(cells):
        for j in range(cells):
            top, left = (
                int(low) // ALIGNMENT * ALIGNMENT + _position(max(int(high - low), 0), generator)
                for low, high in ((bands[0][i], bands[0][i + 1]), (bands[1][j], bands[1][j + 1]))
            )
            view[i * TILE : (i + 1) * TILE, j * TILE : (j + 1) * TILE] = picture[
                top : top + TILE, left : left + TILE
            ]
    return view


def region(picture: Frame, generator: np.random.Generator, size: int, margin: int) -> Frame:
    """A window with ``margin`` pixels more around it (or what the picture has), to be degraded before
    it is cut: borders treat filters and codecs unlike the inside of a picture."""
    wanted = size + 2 * margin
    picture = reflect_to(picture, size)
    corners = [int(generator.integers(max(side - wanted, 0) + 1)) for side in picture.shape[:2]]
    return picture[corners[0] : corners[0] + wanted, corners[1] : corners[1] + wanted]


def _position(room: int, generator: np.random.Generator) -> int:
    if generator.random() < ALIGNED_SHARE:
        return int(generator.integers(room // ALIGNMENT + 1)) * ALIGNMENT
    return int(generator.integers(room + 1))
