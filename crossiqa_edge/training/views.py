"""Training views: random windows and fragments, with the codec grid's phase mostly kept."""

from __future__ import annotations

import numpy as np
from PIL import Image

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.imaging.sampling import ALIGNMENT, Frame, reflect_to

# The sampler meets block codecs at one phase of their grid, so most training views do too; the others
# keep the network from taking that for granted, since a cropped or scaled picture has any phase.
ALIGNED_SHARE = 0.75
TILE = 32


def cut(
    picture: Frame,
    generator: np.random.Generator,
    size: int,
    fragment_share: float = 0.0,
    chroma_share: float = 0.0,
) -> Frame:
    """One random view (S, S, 3) of a picture, mirrored half of the time, some with halved chroma."""
    picture = reflect_to(picture, size)
    make = fragments if generator.random() < fragment_share else window
    view = make(picture, generator, size)
    view = view[:, ::-1] if generator.random() < 0.5 else view
    return halved_chroma(view) if chroma_share and generator.random() < chroma_share else view


def halved_chroma(view: Frame) -> Frame:
    """``view``, of even sides, with chroma as 4:2:0 stores it: the mean of 2 x 2 pixels for each of them.

    Nearly every photograph and every film a viewer meets came that way, so it is no fault of a picture.
    """
    luma, *chroma = Image.fromarray(np.ascontiguousarray(view)).convert("YCbCr").split()
    half = (view.shape[1] // 2, view.shape[0] // 2)
    coarse = [
        plane.resize(half, Image.Resampling.BOX).resize(luma.size, Image.Resampling.BILINEAR)
        for plane in chroma
    ]
    return np.asarray(Image.merge("YCbCr", (luma, *coarse)).convert("RGB"))


def window(picture: Frame, generator: np.random.Generator, size: int) -> Frame:
    """A window at a random place."""
    top, left = (_position(side - size, generator) for side in picture.shape[:2])
    return picture[top : top + size, left : left + size]


def fragments(picture: Frame, generator: np.random.Generator, size: int) -> Frame:
    """One tile from a random place of each cell of a grid, laid side by side.

    Raises:
        ConfigError: tiles do not fill a view of ``size``.
    """
    cells, rest = divmod(size, TILE)
    if rest:
        raise ConfigError(f"a view of {size} pixels cannot be filled with tiles; use a multiple of {TILE}")
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
