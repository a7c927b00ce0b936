"""Inputs for the tests of attention, and torch's own answers to hold the kernels against."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

TOKENS = (1, 49, 50, 196, 197, 256, 577, 1024, 1025)


def packed(
    batch: int, tokens: int, heads: int, dim: int, dtype: torch.dtype = torch.float16, seed: int = 0
) -> Tensor:
    """Normal values (batch, tokens, 3, heads, dim)."""
    return torch.randn(batch, tokens, 3, heads, dim, generator=torch.manual_seed(seed)).to(dtype)


def padded(
    shape: tuple[int, int, int, int], dtype: torch.dtype, padding: int, *, masked: bool
) -> tuple[Tensor, Tensor | None]:
    """``packed`` values of ``shape`` with strides of more tokens, which are NaN, and a mask or None."""
    batch, tokens, heads, dim = shape
    buffer = torch.full((batch, tokens + padding, 3, heads, dim), float("nan"), dtype=dtype)
    buffer[:, :tokens] = packed(*shape, dtype)
    keep = (torch.arange(tokens) % 3 != 1).expand(batch, tokens) if masked else None
    return buffer[:, :tokens], keep


def torch_attention(qkv: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """torch's operator in the type of ``qkv``: (B, N, H * D)."""
    query, key, value = qkv.permute(2, 0, 3, 1, 4)
    where = None if mask is None else mask[:, None, None, :]
    out = F.scaled_dot_product_attention(query, key, value, where, scale=scale)
    return out.transpose(1, 2).flatten(2)


def torch_gradient(out_gradient: Tensor, qkv: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """torch's own gradient of ``qkv``, computed in its type."""
    leaf = qkv.detach().clone().requires_grad_()
    torch_attention(leaf, mask, scale).backward(out_gradient)
    assert leaf.grad is not None
    return leaf.grad
