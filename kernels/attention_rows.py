"""Rows of one head, as the kernels of attention read, round and write them."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)
SMALLEST: tl.constexpr = tl.constexpr(1e-12)  # the largest element of a row of zeros, which a blank frame has


@triton.jit
def load_rows(base, row, stride, present, DIM: tl.constexpr, MASKED: tl.constexpr):
    """(rows, DIM) elements, adjacent within a row, rows ``stride`` apart; 0 where not ``present``."""
    place = base + row[:, None] * stride + tl.arange(0, DIM)[None, :]
    if MASKED:
        return tl.load(place, mask=present[:, None], other=0.0)
    return tl.load(place)


@triton.jit
def present_rows(row, tokens, keep_pointer, MASKED: tl.constexpr):
    """Which tokens exist and count. ``keep_pointer``: a mask's row or None; MASKED: some may not exist."""
    present = row < tokens
    if keep_pointer is not None:
        if MASKED:
            present &= tl.load(keep_pointer + row, mask=present, other=0) != 0
        else:
            present = tl.load(keep_pointer + row) != 0
    return present


@triton.jit
def quantised_rows(rows):
    """(int8 rows, scale of each row float32), rounding to nearest."""
    wide = rows.to(tl.float32)
    scale = tl.maximum(tl.max(tl.abs(wide), 1), SMALLEST) / 127
    return tl.floor(wide * (1 / scale)[:, None] + 0.5).to(tl.int8), scale


@triton.jit
def store_rows(base, row, stride, present, values, DIM: tl.constexpr):
    """Write (rows, DIM) values in the type of ``base`` where ``present``."""
    place = base + row[:, None] * stride + tl.arange(0, DIM)[None, :]
    tl.store(place, values.to(base.dtype.element_ty), mask=present[:, None])


def with_adjacent_heads(qkv: Tensor) -> Tensor:
    """``qkv``, copied only where a head's row is not contiguous or offsets would leave 32 bits."""
    _, tokens, _, heads, dim = qkv.shape
    fits = (tokens - 1) * qkv.stride(1) + 3 * heads * dim < 2**31
    return qkv if qkv.stride()[2:] == (heads * dim, dim, 1) and fits else qkv.contiguous()
