"""Pixels of a uint8 picture as kernels read them: RGB or NV12, from tiles, converted one by one.

A view is a square of tiles laid side by side, each taken from its own place of the picture (see
``crossiqa_edge.imaging.sampling``); a window is a view of one tile. Only pixels of tiles are ever read. A
picture narrower than a tile is continued by reflection, as on the CPU.

NV12 has a plane of luma and one of chroma at half the resolution, Cb and Cr interleaved. The conversion is
that of ``crossiqa_edge.imaging.yuv``, in the same fixed point, so both give the same code values.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from crossiqa_edge.imaging.sampling import GRID, spread, tile_corners, window_corners
from crossiqa_edge.imaging.yuv import fixed_point_factors

FRACTION = 20  # bits behind the point of ``colour_factors``


@triton.jit
def inside(position, length, REFLECT: tl.constexpr):
    """A row or column within 0..length - 1: reflected at the last one, or else held there."""
    position = tl.maximum(position, 0)
    if REFLECT:
        position = position % (2 * length - 2)
        position = tl.minimum(position, 2 * length - 2 - position)
    return tl.minimum(position, length - 1)


@triton.jit
def tile_corner(corners_pointer, view, row, column, valid, tile, tiles):
    """Where in the picture the pixel (row, column) of a view lies: (row, column) there, before reflection.

    corners (views, tiles, tiles, 2) int32: top and left of each tile of ``tile`` pixels.
    """
    corner = corners_pointer + ((view * tiles + row // tile) * tiles + column // tile) * 2
    top = tl.load(corner, mask=valid, other=0)
    left = tl.load(corner + 1, mask=valid, other=0)
    return top + row % tile, left + column % tile


@triton.jit
def normalised_pixels(
    picture_pointer,
    chroma_pointer,
    factors_pointer,
    normaliser_pointer,
    view,
    row,
    column,
    channel,
    picture_view_stride,
    picture_stride,
    chroma_view_stride,
    chroma_stride,
    valid,
):
    """One channel of pixels, float32: code value 0..255 times the channel's gain plus its offset.

    picture (views, H, W, 3) RGB, or with a chroma_pointer luma (views, H, W); chroma (views, ceil(H / 2),
    ceil(W / 2), 2) or None; strides between views and between rows, any; factors (3, 4) int32 for NV12;
    normaliser (2, 3) float32: gains, offsets. view (int64), row, column and channel are integer blocks that
    broadcast to the shape of ``valid``, their mask.
    """
    if chroma_pointer is None:
        place = picture_pointer + view * picture_view_stride + (row * picture_stride + column * 3 + channel)
        code = tl.load(place, mask=valid, other=0).to(tl.float32)
    else:
        place = picture_pointer + view * picture_view_stride + (row * picture_stride + column)
        luma = tl.load(place, mask=valid, other=0).to(tl.int32)
        chroma = chroma_pointer + view * chroma_view_stride + (row // 2 * chroma_stride + column // 2 * 2)
        blue = tl.load(chroma, mask=valid, other=0).to(tl.int32)
        red = tl.load(chroma + 1, mask=valid, other=0).to(tl.int32)
        factor = factors_pointer + channel * 4
        scaled = luma * tl.load(factor) + blue * tl.load(factor + 1) + red * tl.load(factor + 2)
        code = tl.minimum(tl.maximum((scaled + tl.load(factor + 3)) >> 20, 0), 255).to(tl.float32)
    return code * tl.load(normaliser_pointer + channel) + tl.load(normaliser_pointer + 3 + channel)


def sampled_pixels(
    picture: Tensor, chroma: Tensor | None, factors: Tensor | None, corners: Tensor, tile: int
) -> Tensor:
    """The views themselves, int64 code values (B, S, S, 3) with S = tile * tiles: the reference of the above.

    Arguments as of ``crossiqa_edge.kernels.embed.embed``.
    """
    height, width = picture.shape[1:3]
    within = torch.arange(tile, device=picture.device)
    rows = _reflected(corners[..., 0, None].long() + within, height)  # (B, T, T, tile)
    columns = _reflected(corners[..., 1, None].long() + within, width)
    rows, columns = torch.broadcast_tensors(rows[..., :, None], columns[..., None, :])
    batch, tiles = corners.shape[:2]
    view = torch.arange(batch, device=picture.device).view(-1, 1, 1, 1, 1)
    if chroma is None:
        pixels = picture[view, rows, columns].long()
    else:
        assert factors is not None
        both = chroma[view, rows // 2, columns // 2].long()
        yuv = torch.cat([picture[view, rows, columns].long()[..., None], both], dim=-1)
        scaled = (yuv[..., None, :] * factors[:, :3].long()).sum(-1) + factors[:, 3].long()
        pixels = (scaled >> FRACTION).clamp(0, 255)
    return pixels.permute(0, 1, 3, 2, 4, 5).reshape(batch, tiles * tile, tiles * tile, 3)


def _reflected(position: Tensor, length: int) -> Tensor:
    position = position % (2 * length - 2)
    return torch.minimum(position, 2 * length - 2 - position)


@lru_cache(maxsize=64)
def colour_factors(matrix: str, full_range: bool) -> Tensor:
    """int32 (3, 4): for red, green and blue the factors of luma, Cb and Cr and the addend, in 2**-FRACTION.

    ``matrix`` is a key of ``crossiqa_edge.imaging.yuv.MATRICES``, for instance ``bt709``.

    Raises:
        ConfigError: unknown matrix.
    """
    factors = fixed_point_factors(matrix, full_range, 8)
    chroma = (
        (0, factors.red_in_red),
        (factors.blue_in_green, factors.red_in_green),
        (factors.blue_in_blue, 0),
    )
    return torch.tensor(
        [[factors.luma, blue, red, factors.bias - factors.middle * (blue + red)] for blue, red in chroma],
        dtype=torch.int32,
    )


def normaliser(mean: tuple[float, float, float], std: tuple[float, float, float]) -> Tensor:
    """float32 (2, 3): gain and offset of each channel, from constants on the 0..1 scale."""
    gains = [1.0 / (255.0 * deviation) for deviation in std]
    offsets = [-value / deviation for value, deviation in zip(mean, std, strict=True)]
    return torch.tensor([gains, offsets], dtype=torch.float32)


def fragment_corners(height: int, width: int, size: int = 224, *, views: int = 1) -> Tensor:
    """int32 (views, GRID, GRID, 2): top and left of each tile, size / GRID pixels a side, of fragments."""
    tile = size // GRID
    grids = [
        (tile_corners(max(height, tile), tile, v), tile_corners(max(width, tile), tile, u))
        for v, u in spread(views)
    ]
    corners = [[[(top, left) for left in columns] for top in rows] for rows, columns in grids]
    return torch.tensor(corners, dtype=torch.int32)


def crop_corners(height: int, width: int, views: int, size: int = 224) -> Tensor:
    """int32 (views, 1, 1, 2): top and left of each window of ``size`` pixels."""
    corners = window_corners(max(height, size), max(width, size), views, size)
    return torch.tensor(corners, dtype=torch.int32).view(-1, 1, 1, 2)
