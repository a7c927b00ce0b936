"""Twice float32's precision out of float32: a number is a pair, its rounded value and what rounding left.

GPUs for desktops and edge boards compute float64 at 1/64 of float32's speed, or less; a pair costs 2 to 20
operations of float32, which a kernel limited by memory has to spare. The sum of a pair has about 48 bits.
Values and rests are float32 tensors of shapes that broadcast. (Knuth, TAOCP 2, 4.2.2; Dekker 1971.)
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def exact_sum(a, b):
    """a + b, exactly, as a pair."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


@triton.jit
def exact_product(a, b):
    """a * b, exactly, as a pair.

    Not ``a * b``: a compiler may fuse that with a sum that follows, and so the sum would get the product
    unrounded, and then its rest once more.
    """
    product = tl.fma(a, b, 0.0)
    return product, tl.fma(a, b, -product)


@triton.jit
def plus(a, a_rest, b, b_rest):
    """The sum of two pairs."""
    total, rest = exact_sum(a, b)
    return total, rest + (a_rest + b_rest)


@triton.jit
def times(a, a_rest, b, b_rest):
    """The product of two pairs."""
    product, rest = exact_product(a, b)
    return product, rest + (a * b_rest + a_rest * b)


@triton.jit
def quotient(a, a_rest, b, b_rest):
    """One pair over another: float32's quotient, and as its rest what is then left of a, over b."""
    near = a / b
    product, rest = times(near, 0.0, b, b_rest)
    return exact_sum(near, ((a - product) + (a_rest - rest)) / b)


@triton.jit
def reciprocal_root(value, rest):
    """1 / sqrt of a pair: float32's root r, and as its rest Newton's step r (1 - value r^2) / 2."""
    root = 1.0 / tl.sqrt(value)
    near_root, near_root_rest = times(value, rest, root, 0.0)
    near_one, near_one_rest = times(near_root, near_root_rest, root, 0.0)
    return root, 0.5 * root * ((1.0 - near_one) - near_one_rest)


@triton.jit
def binary_power(exponent, rest):
    """2 to the power of a pair, as a pair; 0 below 2**-126. The exponent is at most a little above 0.

    2**whole * e**g, where g = ln 2 * (exponent - whole) is at most 0.35: of the series of e**g the terms 1, g
    and g**2 / 2 are pairs; the others, all together at most 0.008, are float32's.
    """
    within = tl.minimum(tl.maximum(exponent, -126.0), 1.0)
    whole = tl.floor(within + 0.5)
    part, rest = exact_sum(within - whole, rest)
    g, g_rest = times(part, rest, 0.6931471824645996, -1.904654323148236e-09)
    square, square_rest = exact_product(g, g)
    others = g * 2.7557319e-06 + 2.4801587e-05
    others = others * g + 1.9841270e-04
    others = others * g + 1.3888889e-03
    others = others * g + 8.3333333e-03
    others = others * g + 4.1666667e-02
    others = (others * g + 1.6666667e-01) * g * square
    power, power_rest = exact_sum(1.0, g)
    power, more = exact_sum(power, 0.5 * square)
    power, power_rest = exact_sum(
        power, power_rest + more + (others + (0.5 * square_rest + g_rest * (1.0 + g)))
    )
    size = ((whole.to(tl.int32) + 127) << 23).to(tl.float32, bitcast=True)
    size = tl.where(exponent > -126.0, size, 0.0)
    return power * size, power_rest * size


@triton.jit
def leading(values, largest, FACTOR: tl.constexpr):
    """The leading bits of ``values``, all of one unit, so that a sum of them is exact.

    largest: of the absolute values in each sum, of a shape that broadcasts. Adding and subtracting largest *
    FACTOR, a power of two up to 2**23, leaves no bits below largest * FACTOR / 2**25, and takes at most
    largest * FACTOR / 2**24 away.
    """
    coarse = largest * FACTOR
    return (values + coarse) - coarse


@triton.jit
def pair_sum(values, rest, AXIS: tl.constexpr):
    """The sum of a pair (rows, columns) along an axis, as a pair, to about 36 bits.

    Of the leading bits of each element the sum is exact; what is left is summed as float32 does.
    """
    largest = tl.max(tl.abs(values), axis=AXIS, keep_dims=True)
    first = leading(values, largest, 2.0 * values.shape[AXIS])
    return exact_sum(tl.sum(first, axis=AXIS), tl.sum((values - first) + rest, axis=AXIS))


@triton.jit
def row_mean(row, rest, WIDTH: tl.constexpr):
    """The mean of each row of a pair (rows, columns), as a pair (rows,); 0 beyond the WIDTH columns."""
    total, total_rest = pair_sum(row, rest, 1)
    return quotient(total, total_rest, tl.full(total.shape, WIDTH, tl.float32), 0.0)


@triton.jit
def unit_rows(row, row_rest, valid, WIDTH: tl.constexpr, EPSILON: tl.constexpr):
    """x = (row - mean) / sqrt(variance + EPSILON) and the reciprocal of that root: unit, rest, root, rest.

    row (rows, columns) and its rest float32, 0 where not ``valid``, and so is x; the root's are (rows,).
    """
    mean, mean_rest = row_mean(row, row_rest, WIDTH)
    centred, rest = exact_sum(row, -mean[:, None])
    centred, rest = exact_sum(centred, rest + (row_rest - mean_rest[:, None]))
    centred, rest = tl.where(valid, centred, 0.0), tl.where(valid, rest, 0.0)
    square, square_rest = times(centred, rest, centred, rest)
    variance, variance_rest = row_mean(square, square_rest, WIDTH)
    variance, epsilon_rest = exact_sum(variance, EPSILON)
    root, root_rest = reciprocal_root(variance, variance_rest + epsilon_rest)
    unit, unit_rest = times(centred, rest, root[:, None], root_rest[:, None])
    return unit, unit_rest, root, root_rest
