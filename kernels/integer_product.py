"""Products of int8 matrices, exact on every target, whatever it multiplies with."""

from __future__ import annotations

import triton
import triton.language as tl

from crossiqa_edge.kernels.slices import product

# The longest sum of products of int8 that float32 holds exactly: 1024 * 128 * 128 = 2**24.
EXACT_DEPTH: tl.constexpr = tl.constexpr(1024)


@triton.jit
def add_product(total, left, right, INT8_DOT: tl.constexpr, SLICED: tl.constexpr = False):
    """``total`` (M, N) int32 plus left (M, K) int8 times right (K, N) int8, exactly.

    INT8_DOT: whether the target multiplies int8, see ``Target.int8_dot``. Where it does not, the factors
    become float16, which has every integer up to 2048, and are summed in float32, which has every integer up
    to 2**24: of at most EXACT_DEPTH products the sum is exact. Longer sums come here block by block, and each
    block's is an integer before it is added. SLICED: of float16, slice by slice (``slices.py``).
    """
    if INT8_DOT:
        total = tl.dot(left, right, total, out_dtype=tl.int32)
    else:
        tl.static_assert(left.shape[1] <= EXACT_DEPTH, "a sum of this length is not exact in float32")
        total += product(left.to(tl.float16), right.to(tl.float16), SLICED).to(tl.int32)
    return total
