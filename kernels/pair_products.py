"""Matrix products in pairs of float32 (``pairs.py``), to about 31 bits instead of float32's 22 or so.

float32 sums a product's terms with a rounding each. Where torch's roundings happen to cancel, most of all
where there are few results, those of another order of summation are several times as large. So operands are
cut in two, a leading part of 8 bits in one unit for each row or column, and its rest:

    A B = A1 B1 + A1 B2 + A2 B

The first product and its sum are exact in float32, in any order. The others are 2**-7 times as large, and so
are their roundings. Three products instead of one; ordinary cores compute them, as they do float32's.
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
