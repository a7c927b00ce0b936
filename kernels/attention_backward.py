"""The backward pass of attention: two Triton kernels that recompute the weights and share no sums.

    P = exp2(scale / ln 2 * Q K^T - log_sum);   dV = P^T dO;   dP = dO V^T
    dS = P * (dP - row sums of dO * O);   dQ = scale * dS K;   dK = scale * dS^T Q

One kernel walks along the keys for a block of queries and gives dQ, the other along the queries for a block
of keys and gives dK and dV: nothing is added atomically, so gradients repeat to the bit. Only ``log_sum``,
4 bytes a row, is kept from the forward pass (Dao et al., arXiv 2205.14135). All gradients land in one tensor
of the layout of ``qkv``, as the projection's own backward pass wants them.

14 B H N^2 D FLOPs (two products are computed twice) on about 12 B N H D elements moved.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from crossiqa_edge.kernels.attention_forward import attention_spec
from crossiqa_edge.kernels.attention_rows import (
    LOG2_E,
    load_rows,
    present_rows,
    store_rows,
    with_adjacent_heads,
)
from crossiqa_edge.kernels.attention_tiles import AttentionTile, backward_tile, forward_tile
from crossiqa_edge.kernels.device import DTYPES, architecture, dot_precision
from crossiqa_edge.kernels.spec import KernelSpec, Workload
from crossiqa_edge.kernels.targets import compile_options


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
def attention_query_gradient_kernel(
    qkv_pointer,
    keep_pointer,
    out_pointer,
    out_gradient_pointer,
    log_sum_pointer,
    delta_pointer,
    gradient_pointer,
    tokens,
    heads,
    batch_stride,
    token_stride,
    SCALE: tl.constexpr,
    DIM: tl.constexpr,
    BLOCK: tl.constexpr,
    STEP: tl.constexpr,
    REST: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """dQ, launched on a grid of (ceil(tokens / BLOCK), heads, batch).

    qkv, keep, out and log_sum as in ``attention_kernel``; out_gradient like out; gradient (batch, tokens, 3,
    heads, DIM), contiguous, of which the queries' part is written; delta (batch, heads, tokens) float32,
    written: the sum of out_gradient * out over a head's row, which the other kernel reads.
    """
    head = tl.program_id(1)
    batch = tl.program_id(2).to(tl.int64)
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    present = row < tokens
    width = heads * DIM
    query_base = qkv_pointer + batch * batch_stride + head * DIM
    key_base = query_base + width
    value_base = key_base + width
    out_base = batch * tokens * width + head * DIM
    sums = (batch * heads + head) * tokens + row
    if keep_pointer is not None:
        keep_pointer += batch * tokens
    query = load_rows(query_base, row, token_stride, present, DIM, True)
    gradient = load_rows(out_gradient_pointer + out_base, row, width, present, DIM, True)
    out = load_rows(out_pointer + out_base, row, width, present, DIM, True)
    delta = tl.sum(gradient.to(tl.float32) * out.to(tl.float32), 1)
    tl.store(delta_pointer + sums, delta, mask=present)
    log_sum = tl.load(log_sum_pointer + sums, mask=present, other=float("inf"))
    query_gradient = tl.zeros((BLOCK, DIM), tl.float32)
    whole = 0
    if STEP > 0:
        whole = tokens // STEP * STEP
        for first in range(0, whole, STEP):
            query_gradient = _take_keys(
                *(query, gradient, log_sum, delta, query_gradient, key_base, value_base),
                *(first + tl.arange(0, STEP), token_stride, tokens, keep_pointer),
                *(SCALE, DIM, False, PRECISION),
            )
    for piece in tl.static_range(len(REST)):
        query_gradient = _take_keys(
            *(query, gradient, log_sum, delta, query_gradient, key_base, value_base),
            *(whole + tl.arange(0, REST[piece]), token_stride, tokens, keep_pointer),
            *(SCALE, DIM, True, PRECISION),
        )
        whole += REST[piece]
    gradient_base = gradient_pointer + batch * tokens * 3 * width + head * DIM
    store_rows(gradient_base, row, 3 * width, present, query_gradient * SCALE, DIM)


@triton.jit
def _take_queries(
    key,
    value,
    counts,
    key_gradient,
    value_gradient,
    query_base,
    out_gradient_base,
    log_sum_base,
    delta_base,
    row,
    stride,
    width,
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
    if MASKED:  # a query that does not exist has no weights: exp2(-inf)
        log_sum = tl.load(log_sum_base + row, mask=present, other=float("inf"))
        delta = tl.load(delta_base + row, mask=present, other=0.0)
    else:
        log_sum = tl.load(log_sum_base + row)
        delta = tl.load(delta_base + row)
    scores = tl.dot(key, tl.trans(query), input_precision=PRECISION)
    weights = tl.exp2(scores * (SCALE * LOG2_E) - log_sum[None, :])
    weights = tl.where(counts[:, None], weights, 0.0)
    value_gradient = tl.dot(weights.to(value.dtype), gradient, value_gradient, input_precision=PRECISION)
    weight_gradient = tl.dot(value, tl.trans(gradient), input_precision=PRECISION)
    score_gradient = (weights * (weight_gradient - delta[None, :])).to(key.dtype)
    return tl.dot(score_gradient, query, key_gradient, input_precision=PRECISION), value_gradient


@triton.jit
def attention_key_value_gradient_kernel(
    qkv_pointer,
    keep_pointer,
    out_gradient_pointer,
    log_sum_pointer,
    delta_pointer,
    gradient_pointer,
    tokens,
    heads,
    batch_stride,
    token_stride,
    SCALE: tl.constexpr,
    DIM: tl.constexpr,
    BLOCK: tl.constexpr,
    STEP: tl.constexpr,
    REST: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """dK and dV, launched on a grid of (ceil(tokens / BLOCK), heads, batch) after the kernel of dQ.

    Tensors as there; of gradient the keys' and values' parts are written, 0 for keys that do not count.
    """
    head = tl.program_id(1)
    batch = tl.program_id(2).to(tl.int64)
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    present = row < tokens
    width = heads * DIM
    query_base = qkv_pointer + batch * batch_stride + head * DIM
    out_gradient_base = out_gradient_pointer + batch * tokens * width + head * DIM
    log_sum_base = log_sum_pointer + (batch * heads + head) * tokens
    delta_base = delta_pointer + (batch * heads + head) * tokens
    if keep_pointer is not None:
        keep_pointer += batch * tokens
    counts = present_rows(row, tokens, keep_pointer, True)
    key = load_rows(query_base + width, row, token_stride, counts, DIM, True)
    value = load_rows(query_base + 2 * width, row, token_stride, counts, DIM, True)
    key_gradient = tl.zeros((BLOCK, DIM), tl.float32)
    value_gradient = tl.zeros((BLOCK, DIM), tl.float32)
    whole = 0
    if STEP > 0:
        whole = tokens // STEP * STEP
        for first in range(0, whole, STEP):
            key_gradient, value_gradient = _take_queries(
                *(key, value, counts, key_gradient, value_gradient),
                *(query_base, out_gradient_base, log_sum_base, delta_base),
                *(first + tl.arange(0, STEP), token_stride, width, tokens),
                *(SCALE, DIM, False, PRECISION),
            )
    for piece in tl.static_range(len(REST)):
        key_gradient, value_gradient = _take_queries(
            *(key, value, counts, key_gradient, value_gradient),
            *(query_base, out_gradient_base, log_sum_base, delta_base),
            *(whole + tl.arange(0, REST[piece]), token_stride, width, tokens),
            *(SCALE, DIM, True, PRECISION),
        )
        whole += REST[piece]
    gradient_base = gradient_pointer + batch * tokens * 3 * width + head * DIM
    store_rows(gradient_base + width, row, 3 * width, present, key_gradient * SCALE, DIM)
    store_rows(gradient_base + 2 * width, row, 3 * width, present, value_gradient, DIM)


def launch_attention_backward(
    out_gradient: Tensor,
    qkv: Tensor,
    mask: Tensor | None,
    out: Tensor,
    log_sum: Tensor,
    scale: float,
    *,
    tile: AttentionTile | None = None,
) -> Tensor:
    """Run both kernels: the gradient of ``qkv``, contiguous, of its shape and dtype.

    out and log_sum are what ``launch_attention(..., save_log_sum=True)`` gave for qkv, mask and scale;
    out_gradient has the shape and dtype of out. ``tile`` replaces the choice of ``backward_tile``.
    """
    batch, tokens, _, heads, dim = qkv.shape
    gradient = torch.empty(qkv.shape, dtype=qkv.dtype, device=qkv.device)
    if not gradient.numel():
        return gradient
    qkv = with_adjacent_heads(qkv)
    out_gradient = out_gradient.contiguous()
    keep = None if mask is None else mask.contiguous().view(torch.uint8)
    delta = torch.empty_like(log_sum)
    gpu = architecture(qkv.device)
    if tile is None:
        tile = backward_tile(gpu, tokens, dim, DTYPES[qkv.dtype])
    grid = (-(-tokens // tile.block), heads, batch)
    sizes = (tokens, heads, qkv.stride(0), qkv.stride(1))
    constants = {
        **{"SCALE": scale, "DIM": dim, "PRECISION": dot_precision(qkv.dtype)},
        **{"BLOCK": tile.block, "STEP": tile.step, "REST": tile.rest},
        **compile_options(gpu, tile.warps, tile.stages),
    }
    attention_query_gradient_kernel[grid](
        *(qkv, keep, out, out_gradient, log_sum, delta, gradient), *sizes, **constants
    )
    attention_key_value_gradient_kernel[grid](
        *(qkv, keep, out_gradient, log_sum, delta, gradient), *sizes, **constants
    )
    return gradient


def specs(workload: Workload) -> Iterator[KernelSpec]:
    """As training launches them, without a mask: both kernels, and before them the one that saves sums."""
    dtype, dim, row = workload.dtype, workload.head_dim, 3 * workload.width
    forward = forward_tile(workload.architecture, workload.tokens, dim, dtype)
    yield attention_spec(workload, "attention.training", forward, save_log_sum=True)
    tile = backward_tile(workload.architecture, workload.tokens, dim, dtype)
    types = {
        **{"qkv_pointer": f"*{dtype}", "out_pointer": f"*{dtype}", "out_gradient_pointer": f"*{dtype}"},
        **{"log_sum_pointer": "*fp32", "delta_pointer": "*fp32", "gradient_pointer": f"*{dtype}"},
        **{"tokens": "i32", "heads": "i32", "batch_stride": "i32", "token_stride": "i32"},
    }
    for name, function in (
        ("attention.query_gradient", attention_query_gradient_kernel),
        ("attention.key_value_gradient", attention_key_value_gradient_kernel),
    ):
        yield KernelSpec(
            name=name,
            function=function,
            signature={operand: kind for operand, kind in types.items() if operand in function.arg_names},
            constants={
                **{"keep_pointer": None, "SCALE": dim**-0.5, "DIM": dim, "PRECISION": "ieee"},
                **{"BLOCK": tile.block, "STEP": tile.step, "REST": tile.rest},
            },
            grid=((("tokens", tile.block),), (("heads", 1),), (("batch", 1),)),
            sizes={
                **{"tokens": workload.tokens, "heads": workload.heads, "batch": workload.batch},
                **{"batch_stride": workload.tokens * row, "token_stride": row},
            },
            aligned=("batch_stride", "token_stride"),
            warps=tile.warps,
            stages=tile.stages,
            matrix=dtype != "fp32",
            async_copy=tile.step > 0 and tile.stages > 1,
        )
