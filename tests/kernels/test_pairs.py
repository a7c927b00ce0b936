"""Rows in pairs of float32 keep more bits than its 24, so that rounding once is right."""

import pytest
import torch
import triton
import triton.language as tl
from interpreter import interpreted
from test_layer_norm import normal

from crossiqa_edge.kernels.pairs import unit_rows

EPSILON = 2.0**-20  # float32 has it exactly


@triton.jit
def _unit_kernel(row, unit, root, WIDTH: tl.constexpr, EPSILON: tl.constexpr, BLOCK: tl.constexpr):
    column = tl.arange(0, BLOCK)[None, :]
    valid = column < WIDTH
    value, rest, root_value, root_rest = unit_rows(
        tl.load(row + column, mask=valid, other=0.0), valid, WIDTH, EPSILON
    )
    tl.store(unit + column, value, mask=valid)
    tl.store(unit + WIDTH + column, rest, mask=valid)
    tl.store(root + tl.arange(0, 1), root_value)
    tl.store(root + 1 + tl.arange(0, 1), root_rest)


@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("width", [2, 33, 192])
def test_unit_rows_keep_more_bits_than_float32(width, offset):
    row, unit, root = normal(width, seed=width) + offset, torch.empty(2, width), torch.empty(2)
    with interpreted():
        _unit_kernel[(1,)](row, unit, root, WIDTH=width, EPSILON=EPSILON, BLOCK=256)
    exact = row.double() - row.double().mean()
    exact_root = (exact.square().mean() + EPSILON).rsqrt()
    torch.testing.assert_close(root.double().sum(), exact_root, rtol=2.0**-27, atol=0)
    torch.testing.assert_close(unit.double().sum(0), exact * exact_root, rtol=2.0**-27, atol=2.0**-25)
