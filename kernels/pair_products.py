"""Matrix products in pairs of float32 (``pairs.py``), to about 31 bits instead of float32's 22 or so.

float32 sums a product's terms with a rounding each. Where torch's roundings happen to cancel, most of all
where there are few results, those of another order of summation are several times as large. So operands are
cut in two, a leading part of 8 bits in one unit for each row or column, and its rest:

    A B = A1 B1 + A1 B2 + A2 B

The first product and its sum are exact in float32, in any order. The others are 2**-7 times as large, and so
are their roundings. Three products instead of one; ordinary cores compute them, as they do float32's.
``finer_product`` takes six, for the scores of attention.
"""

from __future__ import annotations

import triton
import triton.language as tl

from crossiqa_edge.kernels.pairs import exact_sum, leading
from crossiqa_edge.kernels.slices import slices_of

LONGEST: tl.constexpr = tl.constexpr(128)  # the most products whose sum is exact: 128 * 2**8 * 2**8 < 2**24
FACTOR: tl.constexpr = tl.constexpr(131072.0)  # 2**17: leaves 8 bits


@triton.jit
def pair_product(left, left_rest, right, right_rest, FRUGAL: tl.constexpr = False):
    """A pair (rows, columns): left (rows, depth) with its rest times right (depth, columns) with its rest.

    depth is at most LONGEST; the rests are 0.0 where an operand is float32's own. FRUGAL with registers: a
    slice of the depth at a time, and one product after the other, which no software pipeline survives.
    """
    tl.static_assert(left.shape[1] <= LONGEST, "a sum of this length is not exact in float32")
    first_left = leading(left, tl.max(tl.abs(left), axis=1)[:, None], FACTOR)
    first_right = leading(right, tl.max(tl.abs(right), axis=0)[None, :], FACTOR)
    left_rest = (left - first_left) + left_rest
    right_rest = (right - first_right) + right_rest
    if FRUGAL:
        first, rest = _products_in_slices(first_left, left_rest, first_right, right_rest, right)
    else:
        rest = tl.dot(first_left, right_rest, input_precision="ieee")
        rest = tl.dot(left_rest, right, rest, input_precision="ieee")
        first = tl.dot(first_left, first_right, input_precision="ieee")
    return exact_sum(first, rest)


@triton.jit
def finer_product(left, right, FRUGAL: tl.constexpr = False):
    """``pair_product`` of two of float32's own, to about 38 bits: six products, of which three are exact.

    A B = A1 B1 + (A1 B2 + A2 B1) + (A1 B3 + A2 (B2 + B3) + A3 B)

    1 and 2 have 8 bits, 3 has what is left. The order is that of the
    fewest registers: those that share an operand follow each other.
    """
    tl.static_assert(left.shape[1] <= LONGEST, "a sum of this length is not exact in float32")
    left1, left2, left3 = _thirds(left, tl.max(tl.abs(left), axis=1)[:, None])
    right1, right2, right3 = _thirds(right, tl.max(tl.abs(right), axis=0)[None, :])
    lefts1, rights1 = _parts(left1, True, FRUGAL), _parts(right1, False, FRUGAL)
    lefts2, rights2 = _parts(left2, True, FRUGAL), _parts(right2, False, FRUGAL)
    lefts3, rights3 = _parts(left3, True, FRUGAL), _parts(right3, False, FRUGAL)
    wholes, rights23 = _parts(right, False, FRUGAL), _parts(right - right1, False, FRUGAL)
    first = tl.zeros((left.shape[0], right.shape[1]), tl.float32)
    second, third = first, first
    for part in tl.static_range(len(lefts1)):
        third = _added(lefts3[part], wholes[part], third, FRUGAL)
        third = _added(lefts2[part], rights23[part], third, FRUGAL)
        second = _added(lefts2[part], rights1[part], second, FRUGAL)
        first = _added(lefts1[part], rights1[part], first, FRUGAL)
        second = _added(lefts1[part], rights2[part], second, FRUGAL)
        third = _added(lefts1[part], rights3[part], third, FRUGAL)
    first, second = exact_sum(first, second)
    return exact_sum(first, second + third)


@triton.jit
def _thirds(values, largest):
    """The leading bits, the next ones in a unit 2**-7 times as large, and what is left."""
    first = leading(values, largest, FACTOR)
    second = leading(values - first, largest, FACTOR / 128)
    return first, second, (values - first) - second


@triton.jit
def _parts(matrix, COLUMNS: tl.constexpr, FRUGAL: tl.constexpr):
    return slices_of(matrix, COLUMNS) if FRUGAL else (matrix,)


@triton.jit
def _added(left, right, total, FRUGAL: tl.constexpr):
    total = tl.dot(left, right, total, input_precision="ieee")
    if FRUGAL:
        tl.debug_barrier()  # else operands of all products would be in registers at once
    return total


@triton.jit
def _products_in_slices(first_left, left_rest, first_right, right_rest, right):
    first_lefts, left_rests = slices_of(first_left, True), slices_of(left_rest, True)
    first_rights, right_rests = slices_of(first_right, False), slices_of(right_rest, False)
    rights = slices_of(right, False)
    first = tl.zeros((left_rest.shape[0], right.shape[1]), tl.float32)
    rest = first
    for part in tl.static_range(len(rights)):
        rest = tl.dot(first_lefts[part], right_rests[part], rest, input_precision="ieee")
        tl.debug_barrier()  # else operands of all three products would be in registers at once
        rest = tl.dot(left_rests[part], rights[part], rest, input_precision="ieee")
        tl.debug_barrier()
        first = tl.dot(first_lefts[part], first_rights[part], first, input_precision="ieee")
    return first, rest
