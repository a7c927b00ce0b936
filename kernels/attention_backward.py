"""The backward pass of attention: two Triton kernels that recompute the weights and share no sums.

    P = exp(scale * (Q K^T - peak)) / total;   dV = P^T dO;   dP = dO V^T
    dS = P * (dP - delta);   dQ = scale * dS K;   dK = scale * dS^T Q;   delta = row sums of dO * O

One kernel walks along the keys for a block of queries and gives dQ, the other along the queries for a block
of keys and gives dK and dV: nothing is added atomically, so gradients repeat to the bit. Only ``sums``,
16 bytes a row, is kept from the forward pass (Dao et al., arXiv 2205.14135). All gradients land in one tensor
of the layout of ``qkv``, as the projection's own backward pass wants them.

Where scores are large, so is the logarithm of a row's sum, and its rounding: 2^-13 near 3,000, in every
weight. In 16 bits, whose own rounding is coarser, it is taken all the same (``attention_gradients.py``): that
saves a division. float32 keeps the largest score and the sum apart (``attention_pairs_backward.py``).

14 B H N^2 D FLOPs (two products are computed twice) on about 12 B N H D elements moved.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from crossiqa_edge.kernels.attention_forward import attention_spec
from crossiqa_edge.kernels.attention_gradients import key_value_gradients, load_log_sum, query_gradient
from crossiqa_edge.kernels.attention_pairs import load_sums
from crossiqa_edge.kernels.attention_pairs_backward import (
    key_value_gradients_in_pairs,
    query_gradient_in_pairs,
)
from crossiqa_edge.kernels.attention_rows import (
    load_rows,
    present_rows,
    store_rows,
    with_adjacent_heads,
)
from crossiqa_edge.kernels.attention_tiles import AttentionTile, backward_tile, forward_tile
from crossiqa_edge.kernels.device import DTYPES, architecture, current_device, dot_precision
from crossiqa_edge.kernels.spec import KernelSpec, Workload
from crossiqa_edge.kernels.targets import compile_options


@triton.jit
def attention_query_gradient_kernel(
    qkv_pointer,
    keep_pointer,
    out_pointer,
    out_gradient_pointer,
    sums_pointer,
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
    SLICED: tl.constexpr,
):
    """dQ, launched on a grid of (ceil(tokens / BLOCK), heads, batch).

    qkv, keep, out and sums as in ``attention_kernel``; out_gradient like out; gradient (batch, tokens, 3,
    heads, DIM), contiguous, of which the queries' part is written; delta (2, batch, heads, tokens) float32,
    written: the sum of out_gradient * out over a head's row, which the other kernel reads, and, where float32
    is computed in pairs, its rest.
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
    plane = tl.num_programs(2).to(tl.int64) * heads * tokens
    sums_pointer += (batch * heads + head) * tokens
    delta_pointer += (batch * heads + head) * tokens
    if keep_pointer is not None:
        keep_pointer += batch * tokens
    query = load_rows(query_base, row, token_stride, present, DIM, True)
    gradient = load_rows(out_gradient_pointer + out_base, row, width, present, DIM, True)
    if query.dtype == tl.float32 and PRECISION == "ieee":
        change, delta, delta_rest = query_gradient_in_pairs(
            *(query, gradient, load_sums(sums_pointer, row, plane, present, True), key_base, value_base),
            *(token_stride, tokens, keep_pointer, SCALE, DIM, STEP, REST),
        )
        tl.store(delta_pointer + plane + row, delta_rest, mask=present)
    else:
        out = load_rows(out_pointer + out_base, row, width, present, DIM, True)
        delta = tl.sum(gradient.to(tl.float32) * out.to(tl.float32), 1)
        change = query_gradient(
            *(query, gradient, load_log_sum(sums_pointer, row, plane, present, SCALE, True), delta),
            *(key_base, value_base, token_stride, tokens, keep_pointer),
            *(SCALE, DIM, STEP, REST, PRECISION, SLICED),
        )
    tl.store(delta_pointer + row, delta, mask=present)
    gradient_base = gradient_pointer + batch * tokens * 3 * width + head * DIM
    store_rows(gradient_base, row, 3 * width, present, change, DIM)


@triton.jit
def attention_key_value_gradient_kernel(
    qkv_pointer,
    keep_pointer,
    out_gradient_pointer,
    sums_pointer,
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
    SLICED: tl.constexpr,
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
    plane = tl.num_programs(2).to(tl.int64) * heads * tokens
    sums_base = sums_pointer + (batch * heads + head) * tokens
    delta_base = delta_pointer + (batch * heads + head) * tokens
    if keep_pointer is not None:
        keep_pointer += batch * tokens
    counts = present_rows(row, tokens, keep_pointer, True)
    key = load_rows(query_base + width, row, token_stride, counts, DIM, True)
    value = load_rows(query_base + 2 * width, row, token_stride, counts, DIM, True)
    if key.dtype == tl.float32 and PRECISION == "ieee":
        key_gradient, value_gradient = key_value_gradients_in_pairs(
            *(key, value, counts, query_base, out_gradient_base, sums_base, delta_base),
            *(token_stride, width, plane, tokens, SCALE, DIM, STEP, REST),
        )
    else:
        key_gradient, value_gradient = key_value_gradients(
            *(key, value, counts, query_base, out_gradient_base, sums_base, delta_base),
            *(token_stride, width, plane, tokens, SCALE, DIM, STEP, REST, PRECISION, SLICED),
        )
    gradient_base = gradient_pointer + batch * tokens * 3 * width + head * DIM
    store_rows(gradient_base + width, row, 3 * width, present, key_gradient, DIM)
    store_rows(gradient_base + 2 * width, row, 3 * width, present, value_gradient, DIM)


def launch_attention_backward(
    out_gradient: Tensor,
    qkv: Tensor,
    mask: Tensor | None,
    out: Tensor,
    sums: Tensor,
    scale: float,
    *,
    tile: AttentionTile | None = None,
) -> Tensor:
    """Run both kernels: the gradient of ``qkv``, contiguous, of its shape and dtype.

    out and sums are what ``launch_attention(..., save_sums=True)`` gave for qkv, mask and scale;
    out_gradient has the shape and dtype of out. ``tile`` replaces the choice of ``backward_tile``.
    """
    batch, tokens, _, heads, dim = qkv.shape
    gradient = torch.empty(qkv.shape, dtype=qkv.dtype, device=qkv.device)
    if not gradient.numel():
        return gradient
    qkv = with_adjacent_heads(qkv)
    out_gradient = out_gradient.contiguous()
    keep = None if mask is None else mask.contiguous().view(torch.uint8)
    delta = torch.empty_like(sums[:2])
    gpu = architecture(qkv.device)
    if tile is None:
        tile = backward_tile(gpu, tokens, dim, DTYPES[qkv.dtype])
    grid = (-(-tokens // tile.block), heads, batch)
    sizes = (tokens, heads, qkv.stride(0), qkv.stride(1))
    constants = {
        **{"SCALE": scale, "DIM": dim, "PRECISION": dot_precision(qkv.dtype)},
        **{"BLOCK": tile.block, "STEP": tile.step, "REST": tile.rest, "SLICED": tile.sliced},
        **compile_options(gpu, tile.warps, tile.stages),
    }
    with current_device(qkv.device):
        attention_query_gradient_kernel[grid](
            *(qkv, keep, out, out_gradient, sums, delta, gradient), *sizes, **constants
        )
        attention_key_value_gradient_kernel[grid](
            *(qkv, keep, out_gradient, sums, delta, gradient), *sizes, **constants
        )
    return gradient


def specs(workload: Workload) -> Iterator[KernelSpec]:
    """As training launches them, without a mask: both kernels, and before them the one that saves sums."""
    dtype, dim, row = workload.dtype, workload.head_dim, 3 * workload.width
    forward = forward_tile(workload.architecture, workload.tokens, dim, dtype)
    yield attention_spec(workload, "attention.training", forward, save_sums=True)
    tile = backward_tile(workload.architecture, workload.tokens, dim, dtype)
    types = {
        **{"qkv_pointer": f"*{dtype}", "out_pointer": f"*{dtype}", "out_gradient_pointer": f"*{dtype}"},
        **{"sums_pointer": "*fp32", "delta_pointer": "*fp32", "gradient_pointer": f"*{dtype}"},
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
                **{"BLOCK": tile.block, "STEP": tile.step, "REST": tile.rest, "SLICED": tile.sliced},
            },
            grid=((("tokens", tile.block),), (("heads", 1),), (("batch", 1),)),
            sizes={
                **{"tokens": workload.tokens, "heads": workload.heads, "batch": workload.batch},
                **{"batch_stride": workload.tokens * row, "token_stride": row},
            },
            fixed=("tokens",),
            aligned=("batch_stride", "token_stride"),
            warps=tile.warps,
            stages=tile.stages,
            matrix=dtype != "fp32",
            async_copy=tile.step > 0 and tile.stages > 1,
        )
