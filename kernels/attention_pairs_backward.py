"""The gradient of float32's attention in pairs (``pairs.py``), from the sums of ``attention_pairs.py``.

    P = exp(scale * (Q K^T - peak)) / total;   dP = dO V^T;   delta = row sums of P * dP
    dQ = scale * ((P * dP) K - delta * P K);   dK = scale * (P * (dP - delta))^T Q;   dV = P^T dO

delta is also the row sum of dO * O, for one product less, but would then have the rounding of O. Of a query
that gives one key all its weight, dP - delta is 0, which differences of rounded numbers would only be nearly.
"""

from __future__ import annotations

import triton
import triton.language as tl

from crossiqa_edge.kernels.attention_pairs import exponentials, load_sums, score_product
from crossiqa_edge.kernels.attention_rows import load_rows, present_rows
from crossiqa_edge.kernels.pair_products import pair_product
from crossiqa_edge.kernels.pairs import pair_sum, plus, quotient, times
from crossiqa_edge.kernels.slices import of_this_turn


@triton.jit
def _weights(scores, rest, peak, total, peak_rest, total_rest, counts, SCALE: tl.constexpr):
    """The weights of attention as a pair; peak is inf, and weights are 0, where no key counts."""
    finite = peak < float("inf")
    weights, rest = exponentials(scores, rest, tl.where(finite, peak, 0.0), peak_rest, SCALE)
    weights, rest = times(weights, rest, *quotient(1.0, 0.0, total, total_rest))
    return tl.where(counts & finite, weights, 0.0), tl.where(counts & finite, rest, 0.0)


@triton.jit
def _one_has_all(total, total_rest):
    """Whether one key has all the weight of a query, for the weight of the likeliest is 1 before division."""
    return (total == 1.0) & (total_rest == 0.0)


@triton.jit
def _scaled(value, rest, SCALE: tl.constexpr):
    """A pair times SCALE, in float64: SCALE is no number of float32."""
    return (value.to(tl.float64) + rest.to(tl.float64)) * SCALE


@triton.jit
def _take_keys(
    query,
    gradient,
    sums,
    state,
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
):
    """Add what ROWS keys from ``first`` on give to the pairs of ``state``: (P * dP) K, P K, sums of P dP."""
    query, gradient = of_this_turn(query, first, tokens), of_this_turn(gradient, first, tokens)
    row = first + tl.arange(0, ROWS)
    along, along_rest, mean, mean_rest, delta, delta_rest = state
    peak, total, peak_rest, total_rest = sums
    SOME: tl.constexpr = MASKED or keep_pointer is not None
    present = present_rows(row, tokens, keep_pointer, MASKED)
    key = load_rows(key_base, row, stride, present, DIM, SOME)
    value = load_rows(value_base, row, stride, present, DIM, SOME)
    weights, rest = _weights(
        *score_product(query, tl.trans(key), True),
        *(peak[:, None], total[:, None], peak_rest[:, None], total_rest[:, None]),
        *(present[None, :], SCALE),
    )
    mean, mean_rest = plus(mean, mean_rest, *pair_product(weights, rest, key, 0.0, True))
    weights, rest = times(weights, rest, *pair_product(gradient, 0.0, tl.trans(value), 0.0, True))
    along, along_rest = plus(along, along_rest, *pair_product(weights, rest, key, 0.0, True))
    delta, delta_rest = plus(delta, delta_rest, *pair_sum(weights, rest, 1))
    return along, along_rest, mean, mean_rest, delta, delta_rest


@triton.jit
def query_gradient_in_pairs(
    query,
    gradient,
    sums,
    key_base,
    value_base,
    stride,
    tokens,
    keep_pointer,
    SCALE: tl.constexpr,
    DIM: tl.constexpr,
    STEP: tl.constexpr,
    REST: tl.constexpr,
):
    """dQ of a block of queries, float64 (rows, DIM), and the pair delta (rows,).

    query and gradient, of the output, (rows, DIM); sums from ``load_sums``; STEP and REST as in
    ``attention_kernel``.
    """
    nothing = tl.zeros((query.shape[0], DIM), tl.float32)
    none = tl.zeros((query.shape[0],), tl.float32)
    state = (nothing, nothing, nothing, nothing, none, none)
    whole = 0
    if STEP > 0:
        whole = tokens // STEP * STEP
        for first in range(0, whole, STEP):
            state = _take_keys(
                *(query, gradient, sums, state, key_base, value_base),
                *(first, stride, tokens, keep_pointer, SCALE, DIM, STEP, False),
            )
    for piece in tl.static_range(len(REST)):
        state = _take_keys(
            *(query, gradient, sums, state, key_base, value_base),
            *(whole, stride, tokens, keep_pointer, SCALE, DIM, REST[piece], True),
        )
        whole += REST[piece]
    along, along_rest, mean, mean_rest, delta, delta_rest = state
    part, part_rest = times(mean, mean_rest, delta[:, None], delta_rest[:, None])
    along, along_rest = plus(along, along_rest, -part, -part_rest)
    _, total, _, total_rest = sums
    change = _scaled(along, along_rest, SCALE)
    return tl.where(_one_has_all(total, total_rest)[:, None], 0.0, change), delta, delta_rest


@triton.jit
def _take_queries(
    key,
    value,
    counts,
    state,
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
):
    """Add what ROWS queries from ``first`` on give to the pairs of ``state``: dK / scale and dV of keys."""
    key, value = of_this_turn(key, first, tokens), of_this_turn(value, first, tokens)
    row = first + tl.arange(0, ROWS)
    key_gradient, key_rest, value_gradient, value_rest = state
    present = row < tokens
    query = load_rows(query_base, row, stride, present, DIM, MASKED)
    gradient = load_rows(out_gradient_base, row, width, present, DIM, MASKED)
    peak, total, peak_rest, total_rest = load_sums(sums_base, row, plane, present, MASKED)
    delta = tl.load(delta_base + row, mask=present, other=0.0)
    delta_rest = tl.load(delta_base + plane + row, mask=present, other=0.0)
    weights, rest = _weights(
        *score_product(key, tl.trans(query), True),
        *(peak[None, :], total[None, :], peak_rest[None, :], total_rest[None, :]),
        *(counts[:, None], SCALE),
    )
    value_gradient, value_rest = plus(
        value_gradient, value_rest, *pair_product(weights, rest, gradient, 0.0, True)
    )
    change, change_rest = pair_product(value, 0.0, tl.trans(gradient), 0.0, True)
    change, change_rest = plus(change, change_rest, -delta[None, :], -delta_rest[None, :])
    change, change_rest = times(weights, rest, change, change_rest)
    settled = _one_has_all(total, total_rest)[None, :]
    change, change_rest = tl.where(settled, 0.0, change), tl.where(settled, 0.0, change_rest)
    key_gradient, key_rest = plus(
        key_gradient, key_rest, *pair_product(change, change_rest, query, 0.0, True)
    )
    return key_gradient, key_rest, value_gradient, value_rest


@triton.jit
def key_value_gradients_in_pairs(
    key,
    value,
    counts,
    query_base,
    out_gradient_base,
    sums_base,
    delta_base,
    stride,
    width,
    plane,
    tokens,
    SCALE: tl.constexpr,
    DIM: tl.constexpr,
    STEP: tl.constexpr,
    REST: tl.constexpr,
):
    """dK and dV of a block of keys, float64 and float32, each (rows, DIM), from all queries.

    key and value (rows, DIM), 0 where they do not count; the bases, of one head of one picture, as in
    ``attention_key_value_gradient_kernel``.
    """
    nothing = tl.zeros((key.shape[0], DIM), tl.float32)
    state = (nothing, nothing, nothing, nothing)
    whole = 0
    if STEP > 0:
        whole = tokens // STEP * STEP
        for first in range(0, whole, STEP):
            state = _take_queries(
                *(key, value, counts, state, query_base, out_gradient_base, sums_base, delta_base),
                *(first, stride, width, plane, tokens, SCALE, DIM, STEP, False),
            )
    for piece in tl.static_range(len(REST)):
        state = _take_queries(
            *(key, value, counts, state, query_base, out_gradient_base, sums_base, delta_base),
            *(whole, stride, width, plane, tokens, SCALE, DIM, REST[piece], True),
        )
        whole += REST[piece]
    key_gradient, key_rest, value_gradient, value_rest = state
    return _scaled(key_gradient, key_rest, SCALE), value_gradient + value_rest
