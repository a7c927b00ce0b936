"""The forward pass of attention as one Triton kernel, which reads and writes the layout of the projections.

    weights = exp2(scale / ln 2 * (Q K^T - row maximum));   out = (weights V) / (row sums of weights)

One program holds a block of queries of one head of one picture and walks along the keys. Up to 256 tokens
all keys and values are taken at once, a softmax of whole rows; beyond, they are taken step by step with the
running maximum and sum of the online softmax (Milakov and Gimelshein, arXiv 1805.02867; Dao et al., arXiv
2205.14135). Steps are whole: only the rest after the last one is masked. Maxima, sums and products are
float32.

4 B H N^2 D FLOPs on at least 4 B N H D elements moved: N FLOPs an element, from 25 a byte at 49 tokens in
16 bits (memory is the limit) to 512 a byte at 1025 (tensor cores are).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from crossiqa_edge.kernels.attention_tiles import AttentionTile, forward_tile
from crossiqa_edge.kernels.device import DTYPES, architecture, dot_precision
from crossiqa_edge.kernels.spec import KernelSpec, Workload

LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)


@triton.jit
def load_rows(base, row, stride, present, DIM: tl.constexpr, MASKED: tl.constexpr):
    """(rows, DIM) elements, adjacent within a row, rows ``stride`` apart; 0 where not ``present``."""
    place = base + row[:, None] * stride + tl.arange(0, DIM)[None, :]
    if MASKED:
        return tl.load(place, mask=present[:, None], other=0.0)
    return tl.load(place)


@triton.jit
def present_rows(row, tokens, keep_pointer, MASKED: tl.constexpr):
    """Which tokens exist and count. ``keep_pointer``: a mask's row or None; MASKED: some may not exist."""
    present = row < tokens
    if keep_pointer is not None:
        if MASKED:
            present &= tl.load(keep_pointer + row, mask=present, other=0) != 0
        else:
            present = tl.load(keep_pointer + row) != 0
    return present


@triton.jit
def accumulate(
    scores,
    value,
    present,
    peak,
    total,
    context,
    UNIT: tl.constexpr,
    SOME: tl.constexpr,
    MAYBE_NONE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Take scores and their values into the running maximum, sum and weighted sum of a block of queries.

    UNIT turns scores into units of log2; SOME: only the keys that are ``present`` count; MAYBE_NONE: it
    may be that none has counted so far.
    """
    if SOME:
        scores = tl.where(present[None, :], scores, float("-inf"))
    higher = tl.maximum(peak, tl.max(scores, 1))
    # Until a key counts, the maximum is -inf, and -inf - -inf is no number: then any finite one will do.
    shift = tl.where(higher == float("-inf"), 0.0, higher) * UNIT if MAYBE_NONE else higher * UNIT
    weights = tl.exp2(scores * UNIT - shift[:, None])  # one fused multiply-add an element
    fade = tl.exp2(peak * UNIT - shift)
    context = tl.dot(weights.to(value.dtype), value, context * fade[:, None], input_precision=PRECISION)
    return higher, total * fade + tl.sum(weights, 1), context


@triton.jit
def _attend(
    query,
    peak,
    total,
    context,
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
    """Take the keys and values at ``row`` into a block of queries."""
    SOME: tl.constexpr = MASKED or keep_pointer is not None
    present = present_rows(row, tokens, keep_pointer, MASKED)
    key = load_rows(key_base, row, stride, present, DIM, SOME)
    scores = tl.dot(query, tl.trans(key), input_precision=PRECISION)
    value = load_rows(value_base, row, stride, present, DIM, SOME)
    return accumulate(
        *(scores, value, present, peak, total, context),
        *(SCALE * LOG2_E, SOME, keep_pointer is not None, PRECISION),
    )


@triton.jit
def store_rows(base, row, stride, present, values, DIM: tl.constexpr):
    """Write (rows, DIM) values in the type of ``base`` where ``present``."""
    place = base + row[:, None] * stride + tl.arange(0, DIM)[None, :]
    tl.store(place, values.to(base.dtype.element_ty), mask=present[:, None])


@triton.jit
def attention_kernel(
    qkv_pointer,
    keep_pointer,
    out_pointer,
    log_sum_pointer,
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
    """Launched on a grid of (ceil(tokens / BLOCK), heads, batch).

    qkv (batch, tokens, 3, heads, DIM), the last three axes contiguous, ``batch_stride`` and
    ``token_stride`` elements between the others; keep (batch, tokens) uint8 or None, contiguous: keys with
    0 do not count; out (batch, tokens, heads * DIM), contiguous; log_sum (batch, heads, tokens) float32 or
    None: log2 of the sum of exp2 of a query's scores, +inf where no key counts (its output is 0).
    """
    head = tl.program_id(1)
    batch = tl.program_id(2).to(tl.int64)
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    width = heads * DIM
    query_base = qkv_pointer + batch * batch_stride + head * DIM
    key_base = query_base + width
    value_base = key_base + width
    if keep_pointer is not None:
        keep_pointer += batch * tokens
    query = load_rows(query_base, row, token_stride, row < tokens, DIM, True)
    peak = tl.full((BLOCK,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    context = tl.zeros((BLOCK, DIM), tl.float32)
    whole = 0
    if STEP > 0:
        whole = tokens // STEP * STEP
        for first in range(0, whole, STEP):
            peak, total, context = _attend(
                *(query, peak, total, context, key_base, value_base),
                *(first + tl.arange(0, STEP), token_stride, tokens, keep_pointer),
                *(SCALE, DIM, False, PRECISION),
            )
    if REST > 0:
        peak, total, context = _attend(
            *(query, peak, total, context, key_base, value_base),
            *(whole + tl.arange(0, REST), token_stride, tokens, keep_pointer),
            *(SCALE, DIM, True, PRECISION),
        )
    if keep_pointer is not None:
        peak = tl.where(total == 0.0, float("inf"), peak)
        total = tl.where(total == 0.0, 1.0, total)
    present = row < tokens
    out_base = out_pointer + batch * tokens * width + head * DIM
    store_rows(out_base, row, width, present, context / total[:, None], DIM)
    if log_sum_pointer is not None:
        log_sums = log_sum_pointer + (batch * heads + head) * tokens + row
        tl.store(log_sums, peak * (SCALE * LOG2_E) + tl.log2(total), mask=present)


def launch_attention(
    qkv: Tensor,
    mask: Tensor | None,
    scale: float,
    *,
    save_log_sum: bool = False,
    tile: AttentionTile | None = None,
) -> tuple[Tensor, Tensor]:
    """Run the kernel: (out, log_sum), the second empty unless ``save_log_sum``.

    Shapes, types and what is allowed: see ``attention`` in ``attention.py``, which checks them. ``tile``
    replaces the choice of ``forward_tile``, for tests and measurements.
    """
    batch, tokens, _, heads, dim = qkv.shape
    qkv = with_adjacent_heads(qkv)
    out = qkv.new_empty(batch, tokens, heads * dim)
    shape = (batch, heads, tokens) if save_log_sum else (0,)
    log_sum = torch.empty(shape, dtype=torch.float32, device=qkv.device)
    if tile is None:
        tile = forward_tile(architecture(qkv.device), tokens, dim, DTYPES[qkv.dtype])
    if out.numel():
        attention_kernel[(-(-tokens // tile.block), heads, batch)](
            qkv,
            None if mask is None else mask.contiguous().view(torch.uint8),
            out,
            log_sum if save_log_sum else None,
            tokens,
            heads,
            qkv.stride(0),
            qkv.stride(1),
            SCALE=scale,
            DIM=dim,
            BLOCK=tile.block,
            STEP=tile.step,
            REST=tile.rest,
            PRECISION=dot_precision(qkv.dtype),
            num_warps=tile.warps,
            num_stages=tile.stages,
        )
    return out, log_sum


def with_adjacent_heads(qkv: Tensor) -> Tensor:
    """``qkv``, copied only where a head's row is not contiguous or offsets would leave 32 bits."""
    _, tokens, _, heads, dim = qkv.shape
    fits = (tokens - 1) * qkv.stride(1) + 3 * heads * dim < 2**31
    return qkv if qkv.stride()[2:] == (heads * dim, dim, 1) and fits else qkv.contiguous()


def specs(workload: Workload) -> Iterator[KernelSpec]:
    """The form that inference takes: no mask, no ``log_sum``, ``qkv`` contiguous."""
    dtype, dim, row = workload.dtype, workload.head_dim, 3 * workload.width
    tile = forward_tile(workload.architecture, workload.tokens, dim, dtype)
    yield KernelSpec(
        name="attention",
        function=attention_kernel,
        signature={
            **{"qkv_pointer": f"*{dtype}", "out_pointer": f"*{dtype}"},
            **{"tokens": "i32", "heads": "i32", "batch_stride": "i32", "token_stride": "i32"},
        },
        constants={
            **{"keep_pointer": None, "log_sum_pointer": None, "SCALE": dim**-0.5, "DIM": dim},
            **{"BLOCK": tile.block, "STEP": tile.step, "REST": tile.rest, "PRECISION": "ieee"},
        },
        grid=((("tokens", tile.block),), (("heads", 1),), (("batch", 1),)),
        sizes={
            **{"tokens": workload.tokens, "heads": workload.heads, "batch": workload.batch},
            **{"batch_stride": workload.tokens * row, "token_stride": row},
        },
        aligned=("batch_stride", "token_stride"),
        warps=tile.warps,
        stages=tile.stages,
        matrix=dtype != "fp32",  # in float32 ordinary cores multiply, unless torch is told to allow TF32
        async_copy=tile.step > 0 and tile.stages > 1,
    )
