"""Attention with Q K^T in int8, for inference: quantised where it is loaded, without launches of its own.

    q8 = round(127 q / max |q|), k8 likewise, a scale for each row of a head
    scores = (q8 k8^T) * q scale * k scale;   out = softmax(scale * scores) V,   V in 16 bits

Tensor cores multiply int8 twice as fast as 16 bits; half of attention's products are Q K^T. The weights
times V stay in 16 bits: weights span many orders of magnitude. A scale for each row costs no second pass,
and keeps the attention of the shipped nano model above 40 dB (``tests/kernels/test_attention_int8.py``).

The same FLOPs and bytes as ``attention_forward.py``, a half of the FLOPs in int8.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.kernels.attention import attention_reference, checked_scale
from crossiqa_edge.kernels.attention_forward import (
    LOG2_E,
    accumulate,
    load_rows,
    present_rows,
    store_rows,
    with_adjacent_heads,
)
from crossiqa_edge.kernels.attention_tiles import AttentionTile, int8_tile
from crossiqa_edge.kernels.device import architecture

_SMALLEST = 1e-12  # the scale of a row of zeros, which a blank frame may have
_HEAD_DIMS = (32, 64, 128)  # tensor cores sum at least 32 products of int8 at once


@triton.jit
def _quantise(rows, SMALLEST: tl.constexpr):
    """(int8 rows, scale of each row float32), rounding to nearest."""
    wide = rows.to(tl.float32)
    scale = tl.maximum(tl.max(tl.abs(wide), 1), SMALLEST) / 127
    return tl.floor(wide * (1 / scale)[:, None] + 0.5).to(tl.int8), scale


@triton.jit
def _attend(
    query,
    query_scale,
    peak,
    total,
    context,
    key_base,
    value_base,
    row,
    stride,
    tokens,
    keep_pointer,
    SMALLEST: tl.constexpr,
    DIM: tl.constexpr,
    MASKED: tl.constexpr,
):
    """Take the keys and values at ``row`` into a block of queries."""
    SOME: tl.constexpr = MASKED or keep_pointer is not None
    present = present_rows(row, tokens, keep_pointer, MASKED)
    key, key_scale = _quantise(load_rows(key_base, row, stride, present, DIM, SOME), SMALLEST)
    scores = tl.dot(query, tl.trans(key), out_dtype=tl.int32).to(tl.float32)
    scores = scores * query_scale[:, None] * key_scale[None, :]
    value = load_rows(value_base, row, stride, present, DIM, SOME)
    return accumulate(
        *(scores, value, present, peak, total, context),
        *(1.0, SOME, keep_pointer is not None, "ieee"),
    )


@triton.jit
def attention_int8_kernel(
    qkv_pointer,
    keep_pointer,
    out_pointer,
    tokens,
    heads,
    batch_stride,
    token_stride,
    SCALE: tl.constexpr,
    DIM: tl.constexpr,
    BLOCK: tl.constexpr,
    STEP: tl.constexpr,
    REST: tl.constexpr,
    SMALLEST: tl.constexpr,
):
    """Launched on a grid of (ceil(tokens / BLOCK), heads, batch).

    qkv, keep and out as in ``attention_kernel``, qkv and out of 16 bits.
    """
    head = tl.program_id(1)
    batch = tl.program_id(2).to(tl.int64)
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    present = row < tokens
    width = heads * DIM
    query_base = qkv_pointer + batch * batch_stride + head * DIM
    key_base = query_base + width
    value_base = key_base + width
    if keep_pointer is not None:
        keep_pointer += batch * tokens
    query, query_scale = _quantise(load_rows(query_base, row, token_stride, present, DIM, True), SMALLEST)
    query_scale *= SCALE * LOG2_E
    peak = tl.full((BLOCK,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    context = tl.zeros((BLOCK, DIM), tl.float32)
    whole = 0
    if STEP > 0:
        whole = tokens // STEP * STEP
        for first in range(0, whole, STEP):
            peak, total, context = _attend(
                *(query, query_scale, peak, total, context, key_base, value_base),
                *(first + tl.arange(0, STEP), token_stride, tokens, keep_pointer),
                *(SMALLEST, DIM, False),
            )
    if REST > 0:
        peak, total, context = _attend(
            *(query, query_scale, peak, total, context, key_base, value_base),
            *(whole + tl.arange(0, REST), token_stride, tokens, keep_pointer),
            *(SMALLEST, DIM, True),
        )
    if keep_pointer is not None:
        total = tl.where(total == 0.0, 1.0, total)
    out_base = out_pointer + batch * tokens * width + head * DIM
    store_rows(out_base, row, width, present, context / total[:, None], DIM)


def attention_int8(qkv: Tensor, mask: Tensor | None = None, *, scale: float | None = None) -> Tensor:
    """As ``attention``, without a gradient, for float16 and bfloat16 and D of 32, 64 or 128.

    Raises:
        ConfigError: shapes, types or devices other than these.
    """
    scale = checked_scale(qkv, mask, scale)
    if qkv.dtype not in (torch.float16, torch.bfloat16) or qkv.shape[4] not in _HEAD_DIMS:
        raise ConfigError(
            f"int8 attention takes float16 or bfloat16 with D of {', '.join(map(str, _HEAD_DIMS))}, "
            f"not {qkv.dtype} with D of {qkv.shape[4]}"
        )
    out: Tensor = torch.ops.crossiqa.attention_int8(qkv, mask, scale)
    return out


def attention_int8_reference(qkv: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """The formula in float32 (float64 where ``qkv`` is), each row of Q and K rounded to 255 levels."""
    wide = qkv.to(torch.promote_types(qkv.dtype, torch.float32))
    if mask is not None:
        wide = torch.cat([wide[:, :, :1], wide[:, :, 1:].masked_fill(~mask[:, :, None, None, None], 0.0)], 2)
    step = wide.abs().amax(-1, keepdim=True).clamp_min(_SMALLEST) / 127
    rounded = torch.floor(wide * (1 / step) + 0.5) * step
    mixed = torch.cat([rounded[:, :, :2], wide[:, :, 2:]], 2)
    return attention_reference(mixed, mask, scale)[0].to(qkv.dtype)


def launch_attention_int8(
    qkv: Tensor, mask: Tensor | None, scale: float, *, tile: AttentionTile | None = None
) -> Tensor:
    """Run the kernel; ``tile`` replaces the choice of ``int8_tile``, for tests and measurements."""
    batch, tokens, _, heads, dim = qkv.shape
    qkv = with_adjacent_heads(qkv)
    out = qkv.new_empty(batch, tokens, heads * dim)
    if tile is None:
        tile = int8_tile(architecture(qkv.device), tokens, dim)
    if out.numel():
        attention_int8_kernel[(-(-tokens // tile.block), heads, batch)](
            qkv,
            None if mask is None else mask.contiguous().view(torch.uint8),
            out,
            tokens,
            heads,
            qkv.stride(0),
            qkv.stride(1),
            SCALE=scale,
            DIM=dim,
            BLOCK=tile.block,
            STEP=tile.step,
            REST=tile.rest,
            SMALLEST=_SMALLEST,
            num_warps=tile.warps,
            num_stages=tile.stages,
        )
    return out


@torch.library.custom_op("crossiqa::attention_int8", mutates_args=())
def _attention_int8(qkv: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    run = launch_attention_int8 if qkv.is_cuda else attention_int8_reference
    return run(qkv, mask, scale)


@_attention_int8.register_fake
def _(qkv: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    batch, tokens, _, heads, dim = qkv.shape
    return qkv.new_empty(batch, tokens, heads * dim)
