"""Non-causal attention on the packed output of a QKV projection: the operator, its reference, its gradient.

    out = softmax(scale * Q K^T) V,   Q, K and V the three parts of qkv

``attention`` reads (B, N, 3, H, D) where it lies and writes (B, N, H * D), the layout that the output
projection reads: no permutation, no copy. On a GPU it runs the Triton kernels of ``attention_forward.py``
and ``attention_backward.py``, on a CPU the float32 references below. It is registered as
``crossiqa::attention``, so ``torch.compile`` and ``torch.export`` keep it as one node.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.kernels.device import DTYPES

HEAD_DIMS = (16, 32, 64, 128)


def attention(qkv: Tensor, mask: Tensor | None = None, *, scale: float | None = None) -> Tensor:
    """Attention of every token to every token that counts; differentiable with respect to ``qkv``.

    Args:
        qkv: (B, N, 3, H, D) float16, bfloat16 or float32; D is 16, 32, 64 or 128. Any strides; a copy is
            made only where the last three axes are not contiguous.
        mask: bool (B, N), true for the tokens whose keys and values count; None: all do. A row without
            any gives 0. What lies in tokens that do not count is not read as key or value, NaN included.
        scale: of the scores before the softmax, above 0; by default 1 / sqrt(D).

    Returns:
        (B, N, H * D), contiguous, of the dtype of ``qkv``. Sums are taken in float32.

    Raises:
        ConfigError: shapes, types or devices other than these.
    """
    scale = checked_scale(qkv, mask, scale)
    save_sums = torch.is_grad_enabled() and qkv.requires_grad
    out: Tensor = torch.ops.crossiqa.attention(qkv, mask, scale, save_sums)[0]
    return out


def attention_reference(qkv: Tensor, mask: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """(out, sums) by the formula, computed in float32 (float64 where ``qkv`` is).

    sums (4, B, H, N): of each query's scores with the keys that count, before the scale, the largest; the sum
    of exp(scale * (score - largest)); and the rests of both, where they are pairs of float32 (``pairs.py``),
    here 0. inf and 1 where no key counts. Largest and sum are kept apart because the logarithm of a sum of
    exponentials is rounded at the size of the scores.
    """
    query, key, value = _split_heads(qkv, mask)
    scores = query @ key.mT
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None, :], -math.inf)
    peak = scores.amax(-1) if qkv.shape[1] else scores.sum(-1)  # no tokens have no largest score
    if mask is not None:
        peak = peak.masked_fill(peak == -math.inf, math.inf)
    weights = torch.exp(scale * (scores - peak[..., None]))
    total = weights.sum(-1)
    if mask is not None:
        total = total.masked_fill(peak == math.inf, 1.0)
    context = weights @ value / total[..., None]
    return _join_heads(context).to(qkv.dtype), torch.stack(
        [peak, total, torch.zeros_like(total), torch.zeros_like(total)]
    )


def attention_backward_reference(
    out_gradient: Tensor, qkv: Tensor, mask: Tensor | None, out: Tensor, sums: Tensor, scale: float
) -> Tensor:
    """The gradient of ``qkv`` by the formulas of ``attention_backward.py``, in float32 or float64."""
    query, key, value = _split_heads(qkv, mask)
    wide = query.dtype
    batch, tokens, _, heads, dim = qkv.shape
    gradient = out_gradient.to(wide).view(batch, tokens, heads, dim).transpose(1, 2)
    context = out.to(wide).view(batch, tokens, heads, dim).transpose(1, 2)
    peak, total, peak_rest, total_rest = sums[..., None].to(wide)
    weights = torch.exp(scale * (query @ key.mT - peak - peak_rest)) / (total + total_rest)
    if mask is not None:
        weights = weights.masked_fill(~mask[:, None, None, :], 0.0)
    weight_gradient = gradient @ value.mT
    score_gradient = weights * (weight_gradient - (gradient * context).sum(-1, keepdim=True)) * scale
    parts = score_gradient @ key, score_gradient.mT @ query, weights.mT @ gradient
    return torch.stack([part.transpose(1, 2) for part in parts], 2).to(qkv.dtype)


def _split_heads(qkv: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Q, K and V, each (B, H, N, D) in float32 or float64; 0 for keys and values that do not count."""
    query, key, value = qkv.to(torch.promote_types(qkv.dtype, torch.float32)).permute(2, 0, 3, 1, 4)
    if mask is not None:
        ignored = ~mask[:, None, :, None]
        key, value = key.masked_fill(ignored, 0.0), value.masked_fill(ignored, 0.0)
    return query, key, value


def _join_heads(context: Tensor) -> Tensor:
    batch, heads, tokens, dim = context.shape
    return context.transpose(1, 2).reshape(batch, tokens, heads * dim)


@torch.library.custom_op("crossiqa::attention", mutates_args=())
def _attention(qkv: Tensor, mask: Tensor | None, scale: float, save_sums: bool) -> tuple[Tensor, Tensor]:
    if qkv.is_cuda:
        from crossiqa_edge.kernels.attention_forward import launch_attention

        return launch_attention(qkv, mask, scale, save_sums=save_sums)
    out, sums = attention_reference(qkv, mask, scale)
    return out, sums if save_sums else sums.new_empty(0)


@_attention.register_fake
def _(qkv: Tensor, mask: Tensor | None, scale: float, save_sums: bool) -> tuple[Tensor, Tensor]:
    batch, tokens, _, heads, dim = qkv.shape
    shape = (4, batch, heads, tokens) if save_sums else (0,)
    wide = torch.promote_types(qkv.dtype, torch.float32)
    return qkv.new_empty(batch, tokens, heads * dim), qkv.new_empty(shape, dtype=wide)


@torch.library.custom_op("crossiqa::attention_backward", mutates_args=())
def _attention_backward(
    out_gradient: Tensor, qkv: Tensor, mask: Tensor | None, out: Tensor, sums: Tensor, scale: float
) -> Tensor:
    if qkv.is_cuda:
        from crossiqa_edge.kernels.attention_backward import launch_attention_backward

        return launch_attention_backward(out_gradient, qkv, mask, out, sums, scale)
    return attention_backward_reference(out_gradient, qkv, mask, out, sums, scale)


@_attention_backward.register_fake
def _(
    out_gradient: Tensor, qkv: Tensor, mask: Tensor | None, out: Tensor, sums: Tensor, scale: float
) -> Tensor:
    return torch.empty(qkv.shape, dtype=qkv.dtype, device=qkv.device)


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    qkv, mask, ctx.scale, _ = inputs
    out, sums = output
    ctx.mark_non_differentiable(sums)
    ctx.save_for_backward(qkv, mask, out, sums)


def _backward(ctx: Any, out_gradient: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
    qkv, mask, out, sums = ctx.saved_tensors
    gradient = torch.ops.crossiqa.attention_backward(out_gradient, qkv, mask, out, sums, ctx.scale)
    return gradient, None, None, None


_attention.register_autograd(_backward, setup_context=_keep_for_backward)


def checked_scale(qkv: Tensor, mask: Tensor | None, scale: float | None) -> float:
    """The scale that attention uses, once its inputs are known to be fit; ConfigError where they are not."""
    if qkv.ndim != 5 or qkv.shape[2] != 3 or qkv.shape[4] not in HEAD_DIMS:
        raise ConfigError(
            f"attention takes qkv (B, N, 3, H, D) with D of {', '.join(map(str, HEAD_DIMS))}, "
            f"not {tuple(qkv.shape)}"
        )
    if qkv.dtype not in DTYPES and not (qkv.dtype == torch.float64 and qkv.device.type == "cpu"):
        raise ConfigError(f"attention takes float16, bfloat16 or float32, not {qkv.dtype}")
    if mask is not None and (
        mask.shape != qkv.shape[:2] or mask.dtype != torch.bool or mask.device != qkv.device
    ):
        raise ConfigError(
            f"the mask of attention is bool {tuple(qkv.shape[:2])} on {qkv.device}, "
            f"not {mask.dtype} {tuple(mask.shape)} on {mask.device}"
        )
    scale = qkv.shape[4] ** -0.5 if scale is None else float(scale)
    if not 0 < scale < math.inf:
        raise ConfigError(f"the scale of attention is a finite number above 0, not {scale}")
    return scale
