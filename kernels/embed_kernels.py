"""Kernels from a uint8 picture to tokens: pixels, normalisation, patch embedding and position in one launch.

``embed.py`` launches them and has the reference. Each row of a block is a patch; the patches of all views
are numbered through, so that no program is left half empty at the end of a view.
"""

from __future__ import annotations

import triton
import triton.language as tl

from crossiqa_edge.kernels.epilogue import gelu
from crossiqa_edge.kernels.pixels import inside, normalised_pixels, tile_corner


@triton.jit
def _store_tokens(
    embedded,
    bias_pointer,
    class_pointer,
    position_pointer,
    output_pointer,
    patch,
    column,
    patches,
    COLUMNS: tl.constexpr,
    PATCHES: tl.constexpr,
):
    """Add bias and position to embedded patches, and write them below the class token of their view."""
    PREFIX: tl.constexpr = 0 if class_pointer is None else 1
    present = (column < COLUMNS)[None, :]
    valid = (patch < patches)[:, None] & present
    number = (patch % PATCHES)[:, None]
    first_token = (patch // PATCHES).to(tl.int64)[:, None] * (PATCHES + PREFIX)
    embedded += tl.load(bias_pointer + column[None, :], mask=present, other=0.0).to(tl.float32)
    position = position_pointer + (number + PREFIX) * COLUMNS + column[None, :]
    embedded += tl.load(position, mask=valid, other=0.0).to(tl.float32)
    place = output_pointer + (first_token + number + PREFIX) * COLUMNS + column[None, :]
    tl.store(place, embedded, mask=valid)
    if class_pointer is not None:  # the first patch of a view brings the class token along
        token = tl.load(class_pointer + column[None, :], mask=present, other=0.0).to(tl.float32)
        token += tl.load(position_pointer + column[None, :], mask=present, other=0.0).to(tl.float32)
        place = output_pointer + first_token * COLUMNS + column[None, :]
        tl.store(place, tl.broadcast_to(token, embedded.shape), mask=valid & (number == 0))


@triton.jit
def embed_linear_kernel(
    picture_pointer,
    chroma_pointer,
    factors_pointer,
    corners_pointer,
    normaliser_pointer,
    weight_pointer,
    bias_pointer,
    class_pointer,
    position_pointer,
    output_pointer,
    patches,
    height,
    width,
    picture_view_stride,
    picture_stride,
    chroma_view_stride,
    chroma_stride,
    tile,
    tiles,
    COLUMNS: tl.constexpr,
    PATCH: tl.constexpr,
    ACROSS: tl.constexpr,
    REFLECT: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_PATCHES: tl.constexpr,
    BLOCK_COLUMNS: tl.constexpr,
    BLOCK_DEPTH: tl.constexpr,
):
    """Plain embedding, one linear map of a patch. 1D grid of patch blocks by column blocks, columns fastest.

    weight (COLUMNS, 3 * PATCH * PATCH) in a convolution's order: channel, row, column. The other arguments
    are those of ``embed_levels_kernel``.
    """
    DEPTH: tl.constexpr = 3 * PATCH * PATCH
    column_blocks: tl.constexpr = tl.cdiv(COLUMNS, BLOCK_COLUMNS)
    patch = tl.program_id(0) // column_blocks * BLOCK_PATCHES + tl.arange(0, BLOCK_PATCHES)
    column = tl.program_id(0) % column_blocks * BLOCK_COLUMNS + tl.arange(0, BLOCK_COLUMNS)
    valid = patch < patches
    view = patch // (ACROSS * ACROSS)
    number = patch % (ACROSS * ACROSS)
    top, left = tile_corner(
        corners_pointer, view, number // ACROSS * PATCH, number % ACROSS * PATCH, valid, tile, tiles
    )
    weight_rows = weight_pointer + tl.minimum(column, COLUMNS - 1)[None, :] * DEPTH
    embedded = tl.zeros((BLOCK_PATCHES, BLOCK_COLUMNS), tl.float32)
    for start in range(0, DEPTH, BLOCK_DEPTH):
        depth = start + tl.arange(0, BLOCK_DEPTH)
        present = depth < DEPTH
        within = depth % (PATCH * PATCH)
        pixels = normalised_pixels(
            picture_pointer,
            chroma_pointer,
            factors_pointer,
            normaliser_pointer,
            view.to(tl.int64)[:, None],
            inside(top[:, None] + (within // PATCH)[None, :], height, REFLECT),
            inside(left[:, None] + (within % PATCH)[None, :], width, REFLECT),
            tl.minimum(depth // (PATCH * PATCH), 2)[None, :],
            picture_view_stride,
            picture_stride,
            chroma_view_stride,
            chroma_stride,
            valid[:, None] & present[None, :],
        )
        weight = tl.load(weight_rows + depth[:, None], mask=present[:, None], other=0.0)
        embedded = tl.dot(pixels.to(weight.dtype), weight, embedded, input_precision=PRECISION)
    _store_tokens(
        embedded,
        bias_pointer,
        class_pointer,
        position_pointer,
        output_pointer,
        patch,
        column,
        patches,
        COLUMNS,
        ACROSS * ACROSS,
    )


@triton.jit
def embed_levels_kernel(
    picture_pointer,
    chroma_pointer,
    factors_pointer,
    corners_pointer,
    normaliser_pointer,
    inner_weight_pointer,
    inner_bias_pointer,
    middle_weight_pointer,
    middle_bias_pointer,
    weight_pointer,
    bias_pointer,
    class_pointer,
    position_pointer,
    output_pointer,
    patches,
    height,
    width,
    picture_view_stride,
    picture_stride,
    chroma_view_stride,
    chroma_stride,
    tile,
    tiles,
    COLUMNS: tl.constexpr,
    INNER: tl.constexpr,
    MIDDLE: tl.constexpr,
    OUTER: tl.constexpr,
    INNER_COLUMNS: tl.constexpr,
    MIDDLE_COLUMNS: tl.constexpr,
    ACROSS: tl.constexpr,
    REFLECT: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_PATCHES: tl.constexpr,
    BLOCK_COLUMNS: tl.constexpr,
    BLOCK_GROUPS: tl.constexpr,
):
    """Embedding in three levels. 1D grid of patch blocks by column blocks, columns fastest.

    picture, chroma, factors and normaliser as in ``pixels.normalised_pixels``, with ``..._view_stride``
    between the pictures of two views; corners, tile and tiles as in ``pixels.tile_corner``; ``height`` and
    ``width`` of the picture; ACROSS patches in a row of a view. inner_weight (INNER_COLUMNS, INNER**2 * 3),
    middle_weight (MIDDLE_COLUMNS, MIDDLE**2 * INNER_COLUMNS), weight (COLUMNS, OUTER**2 * MIDDLE_COLUMNS),
    biases to match; class (COLUMNS,) or None; position (PATCHES + 1, COLUMNS), or without class token one
    row less; output (views, as many, COLUMNS). ``patches`` counts those of all views.

    The OUTER**2 groups of a patch pass through the first two levels BLOCK_GROUPS at a time, as rows
    (patch, group) of small products; the place of a 2 x 2 square within its group is a step of the second
    level's sum, so that a row stays in the registers of its warp. Only then rows of a patch become columns,
    by reshaping. Programs for other columns of the same patches repeat the two levels: that costs less than
    passing them through memory.
    """
    PATCH: tl.constexpr = INNER * MIDDLE * OUTER
    PLACES: tl.constexpr = MIDDLE * MIDDLE
    PIXELS: tl.constexpr = INNER * INNER * 3
    ROWS: tl.constexpr = BLOCK_PATCHES * BLOCK_GROUPS
    DEPTH: tl.constexpr = OUTER * OUTER * MIDDLE_COLUMNS
    column_blocks: tl.constexpr = tl.cdiv(COLUMNS, BLOCK_COLUMNS)
    first_patch = tl.program_id(0) // column_blocks * BLOCK_PATCHES
    column = tl.program_id(0) % column_blocks * BLOCK_COLUMNS + tl.arange(0, BLOCK_COLUMNS)

    row = tl.arange(0, ROWS)  # (patch, group)
    patch = first_patch + row // BLOCK_GROUPS
    valid = patch < patches
    view = patch // (ACROSS * ACROSS)
    number = patch % (ACROSS * ACROSS)
    top, left = tile_corner(
        corners_pointer, view, number // ACROSS * PATCH, number % ACROSS * PATCH, valid, tile, tiles
    )
    pixel = tl.arange(0, 16)  # pixels and channels of an innermost square, padded for the tensor cores
    present = pixel < PIXELS
    inner_column = tl.arange(0, INNER_COLUMNS)
    middle_column = tl.arange(0, MIDDLE_COLUMNS)
    inner_weight = tl.load(
        inner_weight_pointer + inner_column[None, :] * PIXELS + pixel[:, None],
        mask=present[:, None],
        other=0.0,
    )
    inner_bias = tl.load(inner_bias_pointer + inner_column).to(tl.float32)[None, :]
    middle_bias = tl.load(middle_bias_pointer + middle_column).to(tl.float32)[None, :]
    middle_pointers = middle_weight_pointer + middle_column[None, :] * (PLACES * INNER_COLUMNS)
    depth = tl.arange(0, BLOCK_GROUPS * MIDDLE_COLUMNS)
    weight_pointers = weight_pointer + tl.minimum(column, COLUMNS - 1)[None, :] * DEPTH + depth[:, None]

    embedded = tl.zeros((BLOCK_PATCHES, BLOCK_COLUMNS), tl.float32)
    for first_group in range(0, OUTER * OUTER, BLOCK_GROUPS):
        group = first_group + row % BLOCK_GROUPS
        group_top = top + group // OUTER * (MIDDLE * INNER)
        group_left = left + group % OUTER * (MIDDLE * INNER)
        middle = tl.zeros((ROWS, MIDDLE_COLUMNS), tl.float32)
        for place in tl.static_range(PLACES):
            pixel_top = place // MIDDLE * INNER + pixel // 3 // INNER
            pixel_left = place % MIDDLE * INNER + pixel // 3 % INNER
            pixels = normalised_pixels(
                picture_pointer,
                chroma_pointer,
                factors_pointer,
                normaliser_pointer,
                view.to(tl.int64)[:, None],
                inside(group_top[:, None] + pixel_top[None, :], height, REFLECT),
                inside(group_left[:, None] + pixel_left[None, :], width, REFLECT),
                (pixel % 3)[None, :],
                picture_view_stride,
                picture_stride,
                chroma_view_stride,
                chroma_stride,
                valid[:, None] & present[None, :],
            )
            inner = tl.dot(pixels.to(inner_weight.dtype), inner_weight, input_precision=PRECISION)
            inner = gelu(inner + inner_bias).to(inner_weight.dtype)
            middle_weight = tl.load(middle_pointers + place * INNER_COLUMNS + inner_column[:, None])
            middle = tl.dot(inner, middle_weight, middle, input_precision=PRECISION)
        middle = gelu(middle + middle_bias).to(inner_weight.dtype)
        middle = tl.reshape(middle, (BLOCK_PATCHES, BLOCK_GROUPS * MIDDLE_COLUMNS))
        weight = tl.load(weight_pointers + first_group * MIDDLE_COLUMNS)
        embedded = tl.dot(middle, weight, embedded, input_precision=PRECISION)
    _store_tokens(
        embedded,
        bias_pointer,
        class_pointer,
        position_pointer,
        output_pointer,
        first_patch + tl.arange(0, BLOCK_PATCHES),
        column,
        patches,
        COLUMNS,
        ACROSS * ACROSS,
    )
