"""Matrix products a slice of the depth at a time, for ordinary cores, which hold operands in registers.

    A B = A[:, 0:16] B[0:16] + A[:, 16:32] B[16:32] + ...

Of an operand a thread holds whole rows or columns, as long as the product is deep: at 128 terms two operands
are all its registers. Of a slice there are 16. More traffic through shared memory is the price.
"""

from __future__ import annotations

import triton
import triton.language as tl

DEEPEST: tl.constexpr = tl.constexpr(16)  # terms of a slice: a thread holds rows and columns of this length


@triton.jit
def product(left, right, SLICED: tl.constexpr, PRECISION: tl.constexpr = None):
    """left (rows, depth) times right (depth, columns), float32, at once or, if SLICED, slice by slice.

    PRECISION of float32's products, as ``dot_precision`` gives it.
    """
    if SLICED:
        lefts, rights = slices_of(left, True), slices_of(right, False)
        total = tl.zeros((left.shape[0], right.shape[1]), tl.float32)
        for part in tl.static_range(len(rights)):
            total = tl.dot(lefts[part], rights[part], total, input_precision=PRECISION)
            tl.debug_barrier()  # else operands of all slices would be in registers at once
    else:
        total = tl.dot(left, right, input_precision=PRECISION)
    return total


@triton.jit
def of_this_turn(matrix, first, tokens):
    """``matrix``, for a turn that begins within ``tokens``, as all do: which the compiler cannot know.

    What is the same in every turn it lays out for the products before the loop. Ordinary cores want whole
    rows in the registers of a thread; those of two matrices of 64 columns in two parts are all there are.
    """
    return tl.where(first < tokens, matrix, 0)


@triton.jit
def slices_of(matrix, COLUMNS: tl.constexpr):
    """The matrix in slices of DEEPEST columns or, without COLUMNS, rows."""
    slices = (matrix,)
    for _ in tl.static_range(_turns(matrix.shape[1] if COLUMNS else matrix.shape[0])):
        halves = ()
        for place in tl.static_range(len(slices)):
            halves += _halves(slices[place], COLUMNS)
        slices = halves  # type: ignore[assignment]  # Triton unrolls: each turn has a longer tuple
    return slices


@triton.jit
def _halves(matrix, COLUMNS: tl.constexpr):
    if COLUMNS:
        parts = tl.permute(tl.reshape(matrix, (matrix.shape[0], 2, matrix.shape[1] // 2)), (0, 2, 1))
    else:
        parts = tl.permute(tl.reshape(matrix, (2, matrix.shape[0] // 2, matrix.shape[1])), (1, 2, 0))
    return tl.split(parts)


@triton.constexpr_function
def _turns(depth):
    """How often a depth, a power of two, is halved until it is DEEPEST."""
    return max(0, (depth // DEEPEST.value).bit_length() - 1)
