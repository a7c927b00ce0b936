"""Attention with Q K^T in int8, for inference: quantised where it is loaded, without launches of its own.

    q8 = round(127 q / max |q|), k8 likewise, a scale for each row of a head
    scores = (q8 k8^T) * q scale * k scale;   out = softmax(scale * scores) V,   V in 16 bits

Tensor cores multiply int8 twice as fast as 16 bits; half of attention's products are Q K^T. The weights
times V stay in 16 bits: weights span many orders of magnitude. A scale for each row costs no second pass,
and keeps the attention of the shipped nano model above 40 dB (``tests/kernels/test_attention_int8.py``).

The kernel is the one of ``attention_forward.py``: the same FLOPs and bytes, a half of the FLOPs in int8. The
integers are the same on every target; Turing, where Triton has no product of int8, multiplies them as fp16.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.kernels.attention import attention_reference, checked_scale
from crossiqa_edge.kernels.attention_forward import attention_spec, launch_attention
from crossiqa_edge.kernels.attention_rows import SMALLEST
from crossiqa_edge.kernels.attention_tiles import AttentionTile, int8_tile
from crossiqa_edge.kernels.spec import KernelSpec, Workload

_HEAD_DIMS = (32, 64, 128)  # tensor cores sum at least 32 products of int8 at once


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
    step = wide.abs().amax(-1, keepdim=True).clamp_min(SMALLEST.value) / 127
    rounded = torch.floor(wide * (1 / step) + 0.5) * step
    mixed = torch.cat([rounded[:, :, :2], wide[:, :, 2:]], 2)
    return attention_reference(mixed, mask, scale)[0].to(qkv.dtype)


def launch_attention_int8(
    qkv: Tensor, mask: Tensor | None, scale: float, *, tile: AttentionTile | None = None
) -> Tensor:
    """Run the kernel of ``attention_forward.py``; ``tile`` replaces the choice of ``int8_tile``."""
    return launch_attention(qkv, mask, scale, int8=True, tile=tile)[0]


@torch.library.custom_op("crossiqa::attention_int8", mutates_args=())
def _attention_int8(qkv: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    run = launch_attention_int8 if qkv.is_cuda else attention_int8_reference
    return run(qkv, mask, scale)


@_attention_int8.register_fake
def _(qkv: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    batch, tokens, _, heads, dim = qkv.shape
    return qkv.new_empty(batch, tokens, heads * dim)


def specs(workload: Workload) -> Iterator[KernelSpec]:
    """The form that inference takes; none in float32."""
    if workload.dtype == "fp32":
        return
    tile = int8_tile(workload.architecture, workload.tokens, workload.head_dim)
    yield attention_spec(workload, "attention_int8", tile, int8=True)
