"""Attention of float32 in pairs of float32 (``pairs.py``); ``attention_pairs_backward.py`` has its gradient.

    weights = exp(scale * (score - peak)) / total,   scores, weights, sums and products as pairs

A score near -3,000 is rounded at 2^-13 in float32, and so is every weight that is made of it. As a pair it
has some 38 bits (31 where a head has 128 elements), so that such a weight is rounded about once, here and
where the gradients compute it anew in other orders. ``peak``, the largest score, is a pair as well: where one
key has all the weight, that is exactly 1, and so is the sum.
"""

from __future__ import annotations

import triton
import triton.language as tl

from crossiqa_edge.kernels.attention_rows import LOG2_E, load_rows, present_rows
from crossiqa_edge.kernels.pair_products import finer_product, pair_product
from crossiqa_edge.kernels.pairs import binary_power, exact_sum, pair_sum, plus, times


@triton.jit
def score_product(left, right, FRUGAL: tl.constexpr):
    """Queries times keys, or keys times queries, as a pair; of more than 64 elements six products spill."""
    if left.shape[1] <= 64:
        scores, rest = finer_product(left, right, FRUGAL)
    else:
        scores, rest = pair_product(left, 0.0, right, 0.0, FRUGAL)
    return scores, rest


@triton.jit
def exponentials(scores, rest, peak, peak_rest, SCALE: tl.constexpr):
    """exp(SCALE * (scores - peak)) of two pairs, as a pair; peak of a shape that broadcasts, and finite."""
    unit = tl.full((1, 1), SCALE * LOG2_E, tl.float64)
    near = unit.to(tl.float32)
    near_rest = (unit - near.to(tl.float64)).to(tl.float32)
    difference, difference_rest = exact_sum(scores, -peak)
    return binary_power(*times(difference, difference_rest + (rest - peak_rest), near, near_rest))


@triton.jit
def _attend(
    query,
    peak,
    peak_rest,
    total,
    total_rest,
    context,
    context_rest,
    key_base,
    value_base,
    row,
    stride,
    tokens,
    keep_pointer,
    SCALE: tl.constexpr,
    DIM: tl.constexpr,
    MASKED: tl.constexpr,
):
    """Take the keys and values at ``row`` into the running maximum, sum and weighted sum of queries.

    MASKED, as after the loop: there is nothing to prefetch there, so products may be frugal with registers,
    which a tile as large as the loop's would otherwise spill.
    """
    SOME: tl.constexpr = MASKED or keep_pointer is not None
    present = present_rows(row, tokens, keep_pointer, MASKED)
    key = load_rows(key_base, row, stride, present, DIM, SOME)
    value = load_rows(value_base, row, stride, present, DIM, SOME)
    scores, rest = score_product(query, tl.trans(key), MASKED)
    higher = tl.maximum(peak, tl.max(tl.where(present[None, :], scores, float("-inf")), 1))
    highest = present[None, :] & (scores == higher[:, None])
    higher_rest = tl.max(tl.where(highest, rest, float("-inf")), 1)
    higher_rest = tl.maximum(higher_rest, tl.where(peak == higher, peak_rest, float("-inf")))
    shift = tl.where(higher == float("-inf"), 0.0, higher)  # until a key counts, any finite one will do
    counted = peak > float("-inf")
    before, before_rest = tl.where(counted, peak, shift), tl.where(counted, peak_rest, higher_rest)
    fade, fade_rest = exponentials(
        before[:, None], before_rest[:, None], shift[:, None], higher_rest[:, None], SCALE
    )
    weights, weights_rest = exponentials(scores, rest, shift[:, None], higher_rest[:, None], SCALE)
    weights = tl.where(present[None, :], weights, 0.0)
    weights_rest = tl.where(present[None, :], weights_rest, 0.0)
    context, context_rest = times(context, context_rest, fade, fade_rest)
    context, context_rest = plus(
        context, context_rest, *pair_product(weights, weights_rest, value, 0.0, MASKED)
    )
    total, total_rest = times(total, total_rest, tl.sum(fade, 1), tl.sum(fade_rest, 1))
    total, total_rest = plus(total, total_rest, *pair_sum(weights, weights_rest, 1))
    return higher, higher_rest, total, total_rest, context, context_rest


@triton.jit
def attend_in_pairs(
    query,
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
    """Take all keys: of each query the largest score, the sum of weights and the weighted values, all pairs.

    query (rows, DIM); the maximum and sum (rows,), -inf and 0 where no key counts; the weighted sum of the
    values (rows, DIM), not yet divided. STEP and REST as in ``attention_kernel``.
    """
    peak = tl.full((query.shape[0],), float("-inf"), tl.float32)
    peak_rest = tl.zeros((query.shape[0],), tl.float32)
    total, total_rest = peak_rest, peak_rest
    context = tl.zeros((query.shape[0], DIM), tl.float32)
    context_rest = context
    whole = 0
    if STEP > 0:
        whole = tokens // STEP * STEP
        for first in range(0, whole, STEP):
            peak, peak_rest, total, total_rest, context, context_rest = _attend(
                *(query, peak, peak_rest, total, total_rest, context, context_rest, key_base, value_base),
                *(first + tl.arange(0, STEP), stride, tokens, keep_pointer, SCALE, DIM, False),
            )
    for piece in tl.static_range(len(REST)):
        peak, peak_rest, total, total_rest, context, context_rest = _attend(
            *(query, peak, peak_rest, total, total_rest, context, context_rest, key_base, value_base),
            *(whole + tl.arange(0, REST[piece]), stride, tokens, keep_pointer, SCALE, DIM, True),
        )
        whole += REST[piece]
    return peak, peak_rest, total, total_rest, context, context_rest


@triton.jit
def load_sums(sums_pointer, row, plane, present, MASKED: tl.constexpr):
    """What ``attention_kernel`` saved of the queries at ``row``: largest score, sum, and the rests of both.

    inf and 1, as of a query without keys, where not ``present``.
    """
    place = sums_pointer + row
    if MASKED:
        peak = tl.load(place, mask=present, other=float("inf"))
        total = tl.load(place + plane, mask=present, other=1.0)
        peak_rest = tl.load(place + 2 * plane, mask=present, other=0.0)
        total_rest = tl.load(place + 3 * plane, mask=present, other=0.0)
    else:
        peak, total = tl.load(place), tl.load(place + plane)
        peak_rest, total_rest = tl.load(place + 2 * plane), tl.load(place + 3 * plane)
    return peak, total, peak_rest, total_rest
