"""What kernels that work row by row share: how tensors become rows, and the statistics of a row."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from crossiqa_edge.kernels.pairs import plus, times, unit_rows

LAYER_NORM_EPSILON = 1e-6  # of timm's vision transformers


def as_rows(x: Tensor) -> Tensor:
    """``x`` (..., width) as (rows, width), elements of a row adjacent; a view wherever strides allow one."""
    rows = x.reshape(-1, x.shape[-1])
    return rows if rows.stride(1) == 1 else rows.contiguous()


@triton.jit
def centred_rows(row, valid, WIDTH: tl.constexpr, EPSILON: tl.constexpr):
    """Rows less their mean, and the reciprocal of sqrt(variance + EPSILON) of each.

    row (rows, columns) float32, 0 where not ``valid``, and so is the result; WIDTH counts the valid columns.
    The mean is taken twice: what rounding leaves of it in a nearly constant row, 1 / sqrt(EPSILON) magnifies.
    """
    centred = tl.where(valid, row - (tl.sum(row, axis=1) / WIDTH)[:, None], 0.0)
    centred = tl.where(valid, centred - (tl.sum(centred, axis=1) / WIDTH)[:, None], 0.0)
    variance = tl.sum(centred * centred, axis=1) / WIDTH
    return centred, 1.0 / tl.sqrt(variance + EPSILON)


@triton.jit
def normalised_rows(
    row,
    rest,
    valid,
    weight_pointer,
    bias_pointer,
    column,
    WIDTH: tl.constexpr,
    EPSILON: tl.constexpr,
    IN_PAIRS: tl.constexpr,
):
    """LayerNorm of rows: row and valid as above, weight and bias (WIDTH,) of any type, read at ``column``.

    IN_PAIRS, for results of float32: row and ``rest`` are a pair (``pairs.py``), and the result is rounded
    once. Else ``rest`` is not used; the last two steps are one fused multiply-add, as torch computes them.
    """
    present = column < WIDTH
    weight = tl.load(weight_pointer + column, mask=present, other=0.0).to(tl.float32)
    bias = tl.load(bias_pointer + column, mask=present, other=0.0).to(tl.float32)
    if IN_PAIRS:
        unit, unit_rest, _, _ = unit_rows(row, rest, valid, WIDTH, EPSILON)
        scaled, scaled_rest = times(unit, unit_rest, weight[None, :], 0.0)
        normalised, normalised_rest = plus(scaled, scaled_rest, bias[None, :], 0.0)
        normalised += normalised_rest
    else:
        centred, reciprocal = centred_rows(row, valid, WIDTH, EPSILON)
        normalised = tl.fma(centred * reciprocal[:, None], weight[None, :], bias[None, :])
    return normalised
