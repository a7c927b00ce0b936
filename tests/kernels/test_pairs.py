"""Rows in pairs of float32 keep more bits than its 24, so that rounding once is right."""

import pytest
import torch
import triton
import triton.language as tl
from interpreter import interpreted
from test_layer_norm import normal

from crossiqa_edge.kernels.pair_products import finer_product, pair_product
from crossiqa_edge.kernels.pairs import binary_power, pair_sum, unit_rows

EPSILON = 2.0**-20  # float32 has it exactly


@triton.jit
def _unit_kernel(row, unit, root, WIDTH: tl.constexpr, EPSILON: tl.constexpr, BLOCK: tl.constexpr):
    column = tl.arange(0, BLOCK)[None, :]
    valid = column < WIDTH
    value, rest, root_value, root_rest = unit_rows(
        tl.load(row + column, mask=valid, other=0.0), 0.0, valid, WIDTH, EPSILON
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


@triton.jit
def _sum_kernel(values, total, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    row, column = tl.arange(0, ROWS)[:, None], tl.arange(0, COLUMNS)
    place = row * COLUMNS + column
    both = pair_sum(tl.load(values + place), tl.load(values + ROWS * COLUMNS + place), 0)
    tl.store(total + column, both[0])
    tl.store(total + COLUMNS + column, both[1])


def test_a_sum_is_rounded_beyond_float32():
    values, total = normal(2, 64, 16), torch.empty(2, 16)
    values[1] *= 2.0**-24
    with interpreted():
        _sum_kernel[(1,)](values, total, ROWS=64, COLUMNS=16)
    torch.testing.assert_close(total.double().sum(0), values.double().sum((0, 1)), rtol=0, atol=2.0**-28)


@triton.jit
def _product_kernel(
    left,
    right,
    product,
    SIDE: tl.constexpr,
    DEPTH: tl.constexpr,
    FRUGAL: tl.constexpr,
    FINER: tl.constexpr,
):
    row, depth = tl.arange(0, SIDE)[:, None], tl.arange(0, DEPTH)[None, :]
    left, right = tl.load(left + row * DEPTH + depth), tl.trans(tl.load(right + row * DEPTH + depth))
    if FINER:
        value, rest = finer_product(left, right, FRUGAL)
    else:
        value, rest = pair_product(left, 0.0, right, 0.0, FRUGAL)
    place = product + row * SIDE + tl.arange(0, SIDE)[None, :]
    tl.store(place, value)
    tl.store(place + SIDE * SIDE, rest)


@pytest.mark.parametrize(("finer", "unit"), [(False, 2.0**-26), (True, 2.0**-33)], ids=["three", "six"])
@pytest.mark.parametrize("frugal", [False, True])
@pytest.mark.parametrize("depth", [16, 32, 128])
def test_products_keep_more_bits_than_float32(depth, frugal, finer, unit):
    left, right, product = normal(16, depth), normal(16, depth, seed=1), torch.empty(2, 16, 16)
    with interpreted():
        _product_kernel[(1,)](left, right, product, SIDE=16, DEPTH=depth, FRUGAL=frugal, FINER=finer)
    exact = left.double() @ right.double().T
    torch.testing.assert_close(product.double().sum(0), exact, rtol=0, atol=depth**0.5 * unit)


@triton.jit
def _power_kernel(exponent, power, COUNT: tl.constexpr):
    place = tl.arange(0, COUNT)
    value, rest = binary_power(tl.load(exponent + place), tl.load(exponent + COUNT + place))
    tl.store(power + place, value)
    tl.store(power + COUNT + place, rest)


def test_powers_keep_more_bits_than_float32():
    exponent, power = torch.linspace(-120, 0.4, 1024).repeat(2, 1), torch.empty(2, 1024)
    exponent[1] *= 2.0**-24
    with interpreted():
        _power_kernel[(1,)](exponent, power, COUNT=1024)
    exact = torch.exp2(exponent.double().sum(0))
    torch.testing.assert_close(power.double().sum(0), exact, rtol=2.0**-28, atol=0)
    with interpreted():
        _power_kernel[(1,)](torch.full((2, 1024), -1e4), power, COUNT=1024)
    assert (power == 0).all()
