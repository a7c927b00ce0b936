"""What follows a matrix product before it is stored: residual + scale * GELU(product + bias).

Each part is optional. The accumulator stays in registers between these steps, so a transformer block
saves a write and a read of the whole output for each of them. GELU is the exact one, with erf, as in timm.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.kernels.shapes import check_shapes

ACTIVATIONS = ("none", "gelu")


@triton.jit
def gelu(x):
    """x times the standard normal distribution function of x, in the type of x, float32 or float64."""
    return 0.5 * x * (1.0 + tl.erf(x * 0.7071067811865476))


@triton.jit
def finish_and_store(
    product,
    bias_pointer,
    scale_pointer,
    residual_pointer,
    output_pointer,
    row,
    column,
    rows,
    residual_stride,
    COLUMNS: tl.constexpr,
    GELU: tl.constexpr,
):
    """Bias, GELU, LayerScale and residual of a tile ``product``, float32 or float64, then its only write."""
    present = column < COLUMNS
    valid = (row < rows)[:, None] & present[None, :]
    if bias_pointer is not None:
        product += tl.load(bias_pointer + column, mask=present, other=0.0).to(product.dtype)
    if GELU:
        product = gelu(product)
    if scale_pointer is not None:
        product *= tl.load(scale_pointer + column, mask=present, other=0.0).to(product.dtype)
    wide_row = row.to(tl.int64)[:, None]
    if residual_pointer is not None:
        residual = residual_pointer + wide_row * residual_stride + column[None, :]
        product += tl.load(residual, mask=valid, other=0.0).to(product.dtype)
    tl.store(output_pointer + wide_row * COLUMNS + column[None, :], product, mask=valid)


def check_layer(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    scale: Tensor | None,
    residual: Tensor | None,
    activation: str,
) -> None:
    """ConfigError unless ``activation`` is one of ACTIVATIONS, and the operands' shapes belong together."""
    if activation not in ACTIVATIONS:
        raise ConfigError(f"unknown activation {activation!r}; choose from {', '.join(ACTIVATIONS)}")
    columns = len(weight)
    check_shapes(
        "linear",
        weight=(weight, (columns, x.shape[-1])),
        bias=(bias, (columns,)),
        scale=(scale, (columns,)),
        residual=(residual, (*x.shape[:-1], columns)),
    )


def finish_reference(
    y: Tensor, bias: Tensor | None, scale: Tensor | None, residual: Tensor | None, activation: str
) -> Tensor:
    """Bias, GELU, LayerScale and residual of the product ``y``, in its dtype or a wider one."""
    if bias is not None:
        y = y + bias
    if activation == "gelu":
        y = functional.gelu(y)
    if scale is not None:
        y = y * scale
    return y if residual is None else y + residual


def output_dtype(x: Tensor, residual: Tensor | None) -> torch.dtype:
    """The residual stream may be wider than what is added to it: the sum keeps its type."""
    return x.dtype if residual is None else residual.dtype
