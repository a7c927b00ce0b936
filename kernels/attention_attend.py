"""A block of queries attends to keys and values, tile by tile, with the sums of one softmax for all of them.

What ``attention_forward.py`` and ``persistent_kernels.py`` share, in 16 bits, TF32 and int8. For float32 the
former takes ``attention_pairs.py``; the latter, an experiment, sums it as float32 does.
"""

from __future__ import annotations

import triton
import triton.language as tl

from crossiqa_edge.kernels.attention_rows import LOG2_E, load_rows, present_rows, quantised_rows
from crossiqa_edge.kernels.integer_product import add_product
from crossiqa_edge.kernels.slices import of_this_turn, product


@triton.jit
def _scores(
    query,
    key_base,
    row,
    stride,
    tokens,
    keep_pointer,
    DIM: tl.constexpr,
    MASKED: tl.constexpr,
    PRECISION: tl.constexpr,
    INT8_DOT: tl.constexpr,
    SLICED: tl.constexpr,
):
    """(queries, keys) float32: queries times the keys at ``row``, -inf for those that do not count.

    Queries of int8 are multiplied with keys rounded to int8, as INT8_DOT says (``integer_product.py``); their
    own scale is left to the caller.
    """
    SOME: tl.constexpr = MASKED or keep_pointer is not None
    present = present_rows(row, tokens, keep_pointer, MASKED)
    key = load_rows(key_base, row, stride, present, DIM, SOME)
    if query.dtype == tl.int8:
        rounded, key_scale = quantised_rows(key)
        scores = tl.zeros((query.shape[0], rounded.shape[0]), tl.int32)
        scores = add_product(scores, query, tl.trans(rounded), INT8_DOT, SLICED)
        scores = scores.to(tl.float32) * key_scale[None, :]
    else:
        scores = product(query, tl.trans(key), SLICED, PRECISION)
    if SOME:
        scores = tl.where(present[None, :], scores, float("-inf"))
    return scores


@triton.jit
def _weigh(
    weights,
    context,
    value_base,
    row,
    stride,
    tokens,
    keep_pointer,
    DIM: tl.constexpr,
    MASKED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Add the values at ``row``, times their weights, to the context of a block of queries."""
    SOME: tl.constexpr = MASKED or keep_pointer is not None
    present = present_rows(row, tokens, keep_pointer, MASKED)
    value = load_rows(value_base, row, stride, present, DIM, SOME)
    return tl.dot(weights.to(value.dtype), value, context, input_precision=PRECISION)


@triton.jit
def attend(
    query,
    unit,
    peak,
    total,
    context,
    key_base,
    value_base,
    first,
    stride,
    tokens,
    keep_pointer,
    DIM: tl.constexpr,
    PIECES: tl.constexpr,
    MASKED: tl.constexpr,
    PRECISION: tl.constexpr,
    INT8_DOT: tl.constexpr,
    SLICED: tl.constexpr,
):
    """Take the keys and values from ``first`` on into the running maximum, sum and weighted sum of queries.

    They come in tiles of PIECES rows, all under one maximum: what was summed before is rescaled once. MASKED:
    the last tile reaches beyond the last token. ``unit`` turns a query's scores into units of log2.
    """
    LAST: tl.constexpr = len(PIECES) - 1
    if SLICED:
        query = of_this_turn(query, first, tokens)
    scores = ()
    higher = peak
    row = first
    for piece in tl.static_range(len(PIECES)):
        part = _scores(
            *(query, key_base, row + tl.arange(0, PIECES[piece]), stride, tokens, keep_pointer),
            *(DIM, MASKED and piece == LAST, PRECISION, INT8_DOT, SLICED),
        )
        scores += (part,)  # type: ignore[assignment]  # Triton unrolls: each turn has a longer tuple
        higher = tl.maximum(higher, tl.max(part, 1))
        row += PIECES[piece]
    # Until a key counts, the maximum is -inf, and -inf - -inf is no number: then any finite one will do.
    shift = (higher if keep_pointer is None else tl.where(higher == float("-inf"), 0.0, higher)) * unit
    fade = tl.exp2(peak * unit - shift)
    total *= fade
    context *= fade[:, None]
    row = first
    for piece in tl.static_range(len(PIECES)):
        weights = tl.exp2(scores[piece] * unit[:, None] - shift[:, None])  # a fused multiply-add an element
        total += tl.sum(weights, 1)
        context = _weigh(
            *(weights, context, value_base, row + tl.arange(0, PIECES[piece]), stride, tokens, keep_pointer),
            *(DIM, MASKED and piece == LAST, PRECISION),
        )
        row += PIECES[piece]
    return higher, total, context


@triton.jit
def attend_to_all(
    query,
    key_base,
    value_base,
    token_stride,
    tokens,
    keep_pointer,
    SCALE: tl.constexpr,
    DIM: tl.constexpr,
    STEP: tl.constexpr,
    REST: tl.constexpr,
    INT8: tl.constexpr,
    INT8_DOT: tl.constexpr,
    PRECISION: tl.constexpr,
    SLICED: tl.constexpr,
):
    """Take all keys: the largest score of each query, the sum of weights, the weighted sum of the values.

    query (rows, DIM); the largest score before SCALE, and with INT8 before the query's own scale; the weights
    are not divided by their sum yet. STEP, REST and INT8 as in ``attention_kernel``.
    """
    unit = tl.full((query.shape[0],), SCALE * LOG2_E, tl.float32)
    if INT8:
        query, query_scale = quantised_rows(query)
        unit *= query_scale
    peak = tl.full((query.shape[0],), float("-inf"), tl.float32)
    total = tl.zeros((query.shape[0],), tl.float32)
    context = tl.zeros((query.shape[0], DIM), tl.float32)
    whole = 0
    if STEP > 0:
        whole = tokens // STEP * STEP
        for first in range(0, whole, STEP):
            peak, total, context = attend(
                *(query, unit, peak, total, context, key_base, value_base),
                *(first, token_stride, tokens, keep_pointer),
                *(DIM, (STEP,), False, PRECISION, INT8_DOT, SLICED),
            )
    if len(REST) > 0:
        peak, total, context = attend(
            *(query, unit, peak, total, context, key_base, value_base),
            *(whole, token_stride, tokens, keep_pointer),
            *(DIM, REST, True, PRECISION, INT8_DOT, SLICED),
        )
    return peak, total, context
