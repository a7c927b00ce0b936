"""The gradients of a block of queries or keys, tile by tile, in 16 bits and TF32.

``attention_pairs_backward.py`` has float32, ``attention_backward.py`` the formulas.
"""

from __future__ import annotations

import triton
import triton.language as tl

from crossiqa_edge.kernels.attention_pairs import load_sums
from crossiqa_edge.kernels.attention_rows import LOG2_E, load_rows, present_rows


@triton.jit
def load_log_sum(sums_pointer, row, plane, present, SCALE: tl.constexpr, MASKED: tl.constexpr):
    """log2 of the sum of exp(SCALE * score) of the queries at ``row``, inf where there is no key or query."""
    peak, total, _, _ = load_sums(sums_pointer, row, plane, present, MASKED)
    return peak * (SCALE * LOG2_E) + tl.log2(total)


@triton.jit
def _take_keys(
    query,
    gradient,
    log_sum,
    delta,
    query_gradient,
    key_base,
    value_base,
    row,
    stride,
    tokens,
    keep_pointer,
    SCALE: tl.constexpr,
    DIM: tl.constexpr,
    MASKED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Add to dQ / scale of a block of queries what the keys at ``row`` give."""
    SOME: tl.constexpr = MASKED or keep_pointer is not None
    present = present_rows(row, tokens, keep_pointer, MASKED)
    key = load_rows(key_base, row, stride, present, DIM, SOME)
    value = load_rows(value_base, row, stride, present, DIM, SOME)
    scores = tl.dot(query, tl.trans(key), input_precision=PRECISION)
    weights = tl.exp2(scores * (SCALE * LOG2_E) - log_sum[:, None])
    if SOME:
        weights = tl.where(present[None, :], weights, 0.0)
    weight_gradient = tl.dot(gradient, tl.trans(value), input_precision=PRECISION)
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
):
    """dQ of a block of queries (rows, DIM), from all keys."""
    query_gradient = tl.zeros((query.shape[0], DIM), tl.float32)
    whole = 0
    if STEP > 0:
        whole = tokens // STEP * STEP
        for first in range(0, whole, STEP):
            query_gradient = _take_keys(
                *(query, gradient, log_sum, delta, query_gradient, key_base, value_base),
                *(first + tl.arange(0, STEP), stride, tokens, keep_pointer),
                *(SCALE, DIM, False, PRECISION),
            )
    for piece in tl.static_range(len(REST)):
        query_gradient = _take_keys(
            *(query, gradient, log_sum, delta, query_gradient, key_base, value_base),
            *(whole + tl.arange(0, REST[piece]), stride, tokens, keep_pointer),
            *(SCALE, DIM, True, PRECISION),
        )
        whole += REST[piece]
    return query_gradient * SCALE


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
    row,
    stride,
    width,
    plane,
    tokens,
    SCALE: tl.constexpr,
    DIM: tl.constexpr,
    MASKED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Add to dK / scale and dV of a block of keys what the queries at ``row`` give."""
    present = row < tokens
    query = load_rows(query_base, row, stride, present, DIM, MASKED)
    gradient = load_rows(out_gradient_base, row, width, present, DIM, MASKED)
    log_sum = load_log_sum(sums_base, row, plane, present, SCALE, MASKED)
    delta = tl.load(delta_base + row, mask=present, other=0.0) if MASKED else tl.load(delta_base + row)
    scores = tl.dot(key, tl.trans(query), input_precision=PRECISION)
    weights = tl.exp2(scores * (SCALE * LOG2_E) - log_sum[None, :])
    weights = tl.where(counts[:, None], weights, 0.0)
    value_gradient = tl.dot(weights.to(value.dtype), gradient, value_gradient, input_precision=PRECISION)
    weight_gradient = tl.dot(value, tl.trans(gradient), input_precision=PRECISION)
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
                *(first + tl.arange(0, STEP), token_stride, width, plane, tokens),
                *(SCALE, DIM, False, PRECISION),
            )
    for piece in tl.static_range(len(REST)):
        key_gradient, value_gradient = _take_queries(
            *(key, value, counts, key_gradient, value_gradient),
            *(query_base, out_gradient_base, sums_base, delta_base),
            *(whole + tl.arange(0, REST[piece]), token_stride, width, plane, tokens),
            *(SCALE, DIM, True, PRECISION),
        )
        whole += REST[piece]
    return key_gradient * SCALE, value_gradient
