"""The forward pass of attention as one Triton kernel, which reads and writes the layout of the projections.

    weights = exp2(scale / ln 2 * (Q K^T - row maximum));   out = (weights V) / (row sums of weights)

One program holds a block of queries of one head of one picture and takes the keys in tiles. Up to 256 tokens
on tensor cores it takes them all at once: a softmax of whole rows, in tiles whose sizes are the binary digits
of the number of tokens, so that 197 tokens cost 208 keys. Beyond, it takes them step by step with the running
maximum and sum of the online softmax (Milakov and Gimelshein, arXiv 1805.02867; Dao et al., arXiv 2205.14135)
and then the rest, the same way. Only the last tile is masked. Maxima, sums and products are float32.

4 B H N^2 D FLOPs on at least 4 B N H D elements moved: N FLOPs an element, from 25 a byte at 49 tokens in
16 bits (memory is the limit) to 512 a byte at 1025 (tensor cores are).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from crossiqa_edge.kernels.attention_rows import (
    LOG2_E,
    load_rows,
    present_rows,
    quantised_rows,
    store_rows,
    with_adjacent_heads,
)
from crossiqa_edge.kernels.attention_tiles import AttentionTile, forward_tile, int8_tile
from crossiqa_edge.kernels.device import DTYPES, architecture, dot_precision
from crossiqa_edge.kernels.integer_product import add_product
from crossiqa_edge.kernels.spec import KernelSpec, Workload
from crossiqa_edge.kernels.targets import compile_options, target_of


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
        scores = add_product(scores, query, tl.trans(rounded), INT8_DOT).to(tl.float32) * key_scale[None, :]
    else:
        scores = tl.dot(query, tl.trans(key), input_precision=PRECISION)
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
):
    """Take the keys and values from ``first`` on into the running maximum, sum and weighted sum of queries.

    They come in tiles of PIECES rows, all under one maximum: what was summed before is rescaled once. MASKED:
    the last tile reaches beyond the last token. ``unit`` turns a query's scores into units of log2.
    """
    LAST: tl.constexpr = len(PIECES) - 1
    scores = ()
    higher = peak
    row = first
    for piece in tl.static_range(len(PIECES)):
        part = _scores(
            *(query, key_base, row + tl.arange(0, PIECES[piece]), stride, tokens, keep_pointer),
            *(DIM, MASKED and piece == LAST, PRECISION, INT8_DOT),
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
    INT8: tl.constexpr,
    INT8_DOT: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Launched on a grid of (ceil(tokens / BLOCK), heads, batch).

    qkv (batch, tokens, 3, heads, DIM), the last three axes contiguous, ``batch_stride`` and
    ``token_stride`` elements between the others; keep (batch, tokens) uint8 or None, contiguous: keys with
    0 do not count; out (batch, tokens, heads * DIM), contiguous; log_sum (batch, heads, tokens) float32 or
    None: log2 of the sum of exp2 of a query's scores, +inf where no key counts (its output is 0).

    STEP rows are taken a turn, then those of REST, a tuple, at once; STEP is 0 where REST takes all. INT8: as
    ``attention_int8.py`` says; INT8_DOT: on a target that multiplies int8.
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
    unit = tl.full((BLOCK,), SCALE * LOG2_E, tl.float32)
    if INT8:
        query, query_scale = quantised_rows(query)
        unit *= query_scale
    peak = tl.full((BLOCK,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    context = tl.zeros((BLOCK, DIM), tl.float32)
    whole = 0
    if STEP > 0:
        whole = tokens // STEP * STEP
        for first in range(0, whole, STEP):
            peak, total, context = attend(
                *(query, unit, peak, total, context, key_base, value_base),
                *(first, token_stride, tokens, keep_pointer),
                *(DIM, (STEP,), False, PRECISION, INT8_DOT),
            )
    if len(REST) > 0:
        peak, total, context = attend(
            *(query, unit, peak, total, context, key_base, value_base),
            *(whole, token_stride, tokens, keep_pointer),
            *(DIM, REST, True, PRECISION, INT8_DOT),
        )
    if keep_pointer is not None:
        peak = tl.where(total == 0.0, float("inf"), peak)
        total = tl.where(total == 0.0, 1.0, total)
    present = row < tokens
    out_base = out_pointer + batch * tokens * width + head * DIM
    store_rows(out_base, row, width, present, context / total[:, None], DIM)
    if log_sum_pointer is not None:
        log_sums = log_sum_pointer + (batch * heads + head) * tokens + row
        tl.store(log_sums, peak * unit + tl.log2(total), mask=present)


def launch_attention(
    qkv: Tensor,
    mask: Tensor | None,
    scale: float,
    *,
    save_log_sum: bool = False,
    int8: bool = False,
    tile: AttentionTile | None = None,
) -> tuple[Tensor, Tensor]:
    """Run the kernel: (out, log_sum), the second empty unless ``save_log_sum``.

    Shapes, types and what is allowed: see ``attention`` in ``attention.py``, which checks them, and
    ``attention_int8`` for ``int8``. ``tile`` replaces the choice of ``forward_tile`` or ``int8_tile``, for
    tests and measurements.
    """
    batch, tokens, _, heads, dim = qkv.shape
    qkv = with_adjacent_heads(qkv)
    out = qkv.new_empty(batch, tokens, heads * dim)
    shape = (batch, heads, tokens) if save_log_sum else (0,)
    log_sum = torch.empty(shape, dtype=torch.float32, device=qkv.device)
    gpu = architecture(qkv.device)
    if tile is None:
        tile = int8_tile(gpu, tokens, dim) if int8 else forward_tile(gpu, tokens, dim, DTYPES[qkv.dtype])
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
            INT8=int8,
            INT8_DOT=target_of(gpu).int8_dot,
            PRECISION=dot_precision(qkv.dtype),
            **compile_options(gpu, tile.warps, tile.stages),
        )
    return out, log_sum


def specs(workload: Workload) -> Iterator[KernelSpec]:
    """The form that inference takes: no mask, no ``log_sum``, ``qkv`` contiguous."""
    tile = forward_tile(workload.architecture, workload.tokens, workload.head_dim, workload.dtype)
    yield attention_spec(workload, "attention", tile)


def attention_spec(
    workload: Workload, name: str, tile: AttentionTile, *, int8: bool = False, save_log_sum: bool = False
) -> KernelSpec:
    """The kernel at ``tile`` as the compiler takes it, without a mask, ``qkv`` contiguous."""
    dtype, dim, row = workload.dtype, workload.head_dim, 3 * workload.width
    return KernelSpec(
        name=name,
        function=attention_kernel,
        signature={
            **{"qkv_pointer": f"*{dtype}", "out_pointer": f"*{dtype}"},
            **({"log_sum_pointer": "*fp32"} if save_log_sum else {}),
            **{"tokens": "i32", "heads": "i32", "batch_stride": "i32", "token_stride": "i32"},
        },
        constants={
            **({} if save_log_sum else {"log_sum_pointer": None}),
            **{"keep_pointer": None, "SCALE": dim**-0.5, "DIM": dim},
            **{"BLOCK": tile.block, "STEP": tile.step, "REST": tile.rest},
            **{"INT8": int8, "INT8_DOT": target_of(workload.architecture).int8_dot, "PRECISION": "ieee"},
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
