"""The gradients of a block of queries or keys, tile by tile, in 16 bits and TF32.

``attention_pairs_backward.py`` has float32, ``attention_backward.py`` the formulas.
"""

from __future__ import annotations

import triton
import triton.language as tl

from crossiqa_edge.kernels.attention_pairs import load_sums
from crossiqa_edge.kernels.attention_rows import LOG2_E, load_rows, present_rows
from crossiqa_edge.kernels.slices import of_this_turn, product


@triton.jit
def load_log_sum(sums_pointer, row, plane, present, SCALE: tl.constexpr, MASKED: tl.constexpr):
    """log2 of the sum of exp(SCALE * score) of the queries at ``row``, inf where there is no key or query."""
    peak, total, _, _ = load_sums(sums_pointer, row, plane, present, MASKED)
    return peak * (SCALE * LOG2_E) + tl.log2(total)


@triton.jit
def _score_scale(tokens, SCALE: tl.constexpr):
    """What gradients of scores are multiplied by. A token that is alone has all the weight at any score.

    Its dP - delta is 0, which a difference of rounded sums would only be nearly.
    """
    return tl.where(tokens > 1, SCALE, 0.0)


@triton.jit
def _take_keys(
    query,
    gradient,
    log_sum,
    delta,
    query_gradient,
    key_base,
    value_base,
    first,
    stride,
    tokens,
    keep_pointer,
    SCALE: tl.constexpr,
    DIM: tl.constexpr,
    ROWS: tl.constexpr,
    MASKED: tl.constexpr,
    PRECISION: tl.constexpr,
    SLICED: tl.constexpr,
):
    """Add to dQ / scale of a block of queries what ROWS keys from ``first`` on give."""
    if SLICED:
        query, gradient = of_this_turn(query, first, tokens), of_this_turn(gradient, first, tokens)
    row = first + tl.arange(0, ROWS)
    SOME: tl.constexpr = MASKED or keep_pointer is not None
    present = present_rows(row, tokens, keep_pointer, MASKED)
    key = load_rows(key_base, row, stride, present, DIM, SOME)
    value = load_rows(value_base, row, stride, present, DIM, SOME)
    scores = product(query, tl.trans(key), SLICED, PRECISION)
    weights = tl.exp2(scores * (SCALE * LOG2_E) - log_sum[:, None])
    if SOME:
        weights = tl.where(present[None, :], weights, 0.0)
    weight_gradient = product(gradient, tl.trans(value), SLICED, PRECISION)
    score_gradient = (weights * (weight_gradient - delta[:, None])).to(key.dtype)
    return tl.dot(score_gradient, key, query_gradient, input_precision=PRECISION)


@triton.jit
def query_gradient(
    query,
    gradient,
    log_sum,
    delta,
    key_base,
    value_base,
    stride,
    tokens,
    keep_pointer,
    SCALE: tl.constexpr,
    DIM: tl.constexpr,
    STEP: tl.constexpr,
    REST: tl.constexpr,
    PRECISION: tl.constexpr,
    SLICED: tl.constexpr,
):
    """dQ of a block of queries (rows, DIM), from all keys."""
    query_gradient = tl.zeros((query.shape[0], DIM), tl.float32)
    whole = 0
    if STEP > 0:
        whole = tokens // STEP * STEP
        for first in range(0, whole, STEP):
            query_gradient = _take_keys(
                *(query, gradient, log_sum, delta, query_gradient, key_base, value_base),
                *(first, stride, tokens, keep_pointer),
                *(SCALE, DIM, STEP, False, PRECISION, SLICED),
            )
    for piece in tl.static_range(len(REST)):
        query_gradient = _take_keys(
            *(query, gradient, log_sum, delta, query_gradient, key_base, value_base),
            *(whole, stride, tokens, keep_pointer),
            *(SCALE, DIM, REST[piece], True, PRECISION, SLICED),
        )
        whole += REST[piece]
    return query_gradient * _score_scale(tokens, SCALE)


@triton.jit
def _take_queries(
    key,
    value,
    counts,
    key_gradient,
    value_gradient,
    query_base,
    out_gradient_base,
    sums_base,
    delta_base,
    first,
    stride,
    width,
    plane,
    tokens,
    SCALE: tl.constexpr,
    DIM: tl.constexpr,
    ROWS: tl.constexpr,
    MASKED: tl.constexpr,
    PRECISION: tl.constexpr,
    SLICED: tl.constexpr,
):
    """Add to dK / scale and dV of a block of keys what ROWS queries from ``first`` on give."""
    if SLICED:
        key, value = of_this_turn(key, first, tokens), of_this_turn(value, first, tokens)
    row = first + tl.arange(0, ROWS)
    present = row < tokens
    query = load_rows(query_base, row, stride, present, DIM, MASKED)
    gradient = load_rows(out_gradient_base, row, width, present, DIM, MASKED)
    log_sum = load_log_sum(sums_base, row, plane, present, SCALE, MASKED)
    delta = tl.load(delta_base + row, mask=present, other=0.0) if MASKED else tl.load(delta_base + row)
    scores = product(key, tl.trans(query), SLICED, PRECISION)
    weights = tl.exp2(scores * (SCALE * LOG2_E) - log_sum[None, :])
    weights = tl.where(counts[:, None], weights, 0.0)
    value_gradient = tl.dot(weights.to(value.dtype), gradient, value_gradient, input_precision=PRECISION)
    weight_gradient = product(value, tl.trans(gradient), SLICED, PRECISION)
    score_gradient = (weights * (weight_gradient - delta[None, :])).to(key.dtype)
    return tl.dot(score_gradient, query, key_gradient, input_precision=PRECISION), value_gradient


@triton.jit
def key_value_gradients(
    key,
    value,
    counts,
    query_base,
    out_gradient_base,
    sums_base,
    delta_base,
    token_stride,
    width,
    plane,
    tokens,
    SCALE: tl.constexpr,
    DIM: tl.constexpr,
    STEP: tl.constexpr,
    REST: tl.constexpr,
    PRECISION: tl.constexpr,
    SLICED: tl.constexpr,
):
    """dK and dV of a block of keys, each (rows, DIM), from all queries."""
    key_gradient = tl.zeros((key.shape[0], DIM), tl.float32)
    value_gradient = tl.zeros((key.shape[0], DIM), tl.float32)
    whole = 0
    if STEP > 0:
        whole = tokens // STEP * STEP
        for first in range(0, whole, STEP):
            key_gradient, value_gradient = _take_queries(
                *(key, value, counts, key_gradient, value_gradient),
                *(query_base, out_gradient_base, sums_base, delta_base),
                *(first, token_stride, width, plane, tokens),
                *(SCALE, DIM, STEP, False, PRECISION, SLICED),
            )
    for piece in tl.static_range(len(REST)):
        key_gradient, value_gradient = _take_queries(
            *(key, value, counts, key_gradient, value_gradient),
            *(query_base, out_gradient_base, sums_base, delta_base),
            *(whole, token_stride, width, plane, tokens),
            *(SCALE, DIM, REST[piece], True, PRECISION, SLICED),
        )
        whole += REST[piece]
    return key_gradient * _score_scale(tokens, SCALE), value_gradient
