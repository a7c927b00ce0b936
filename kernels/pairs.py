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
    """a * b, exactly, as a pair."""
    product = a * b
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
def reciprocal_root(value, rest):
    """1 / sqrt of a pair: float32's root r, and as its rest Newton's step r (1 - value r^2) / 2."""
    root = 1.0 / tl.sqrt(value)
    near_root, near_root_rest = times(value, rest, root, 0.0)
    near_one, near_one_rest = times(near_root, near_root_rest, root, 0.0)
    return root, 0.5 * root * ((1.0 - near_one) - near_one_rest)


@triton.jit
def row_mean(row, rest, valid, WIDTH: tl.constexpr):
    """The mean of each row, as a pair (rows,): rounded, and the mean of what is left of the row without it.

    row and rest (rows, columns), 0 where not ``valid``; WIDTH counts the valid columns. The second sum is
    float32's, but of what averages to nothing, and its error is divided by WIDTH.
    """
    mean = tl.sum(row, axis=1) / WIDTH
    left, left_rest = exact_sum(row, -mean[:, None])
    left = tl.where(valid, left + (left_rest + rest), 0.0)
    return exact_sum(mean, tl.sum(left, axis=1) / WIDTH)


@triton.jit
def unit_rows(row, valid, WIDTH: tl.constexpr, EPSILON: tl.constexpr):
    """x = (row - mean) / sqrt(variance + EPSILON) and the reciprocal of that root: unit, rest, root, rest.

    row (rows, columns) float32, 0 where not ``valid``, and so is x; the root's are (rows,).
    """
    mean, mean_rest = row_mean(row, 0.0, valid, WIDTH)
    centred, rest = exact_sum(row, -mean[:, None])
    centred, rest = exact_sum(centred, rest - mean_rest[:, None])
    centred, rest = tl.where(valid, centred, 0.0), tl.where(valid, rest, 0.0)
    square, square_rest = times(centred, rest, centred, rest)
    variance, variance_rest = row_mean(square, square_rest, valid, WIDTH)
    variance, epsilon_rest = exact_sum(variance, EPSILON)
    root, root_rest = reciprocal_root(variance, variance_rest + epsilon_rest)
    unit, unit_rest = times(centred, rest, root[:, None], root_rest[:, None])
    return unit, unit_rest, root, root_rest
