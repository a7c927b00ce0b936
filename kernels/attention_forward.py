"""The forward pass of attention as one Triton kernel, which reads and writes the layout of the projections.

    weights = exp2(scale / ln 2 * (Q K^T - row maximum));   out = (weights V) / (row sums of weights)

One program holds a block of queries of one head of one picture and takes the keys in tiles. Up to 256 tokens
on tensor cores it takes them all at once: a softmax of whole rows, in tiles whose sizes are the binary digits
of the number of tokens, so that 197 tokens cost 208 keys. Beyond, it takes them step by step with the running
maximum and sum of the online softmax (Milakov and Gimelshein, arXiv 1805.02867; Dao et al., arXiv 2205.14135)
and then the rest, the same way (``attention_attend.py``). Only the last tile is masked. Maxima, sums and
products are float32; where the type is float32, they are pairs of it (``attention_pairs.py``).

4 B H N^2 D FLOPs on at least 4 B N H D elements moved: N FLOPs an element, from 25 a byte at 49 tokens in
16 bits (memory is the limit) to 512 a byte at 1025 (tensor cores are).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.kernels.attention_attend import attend_to_all
from crossiqa_edge.kernels.attention_pairs import attend_in_pairs
from crossiqa_edge.kernels.attention_rows import load_rows, store_rows, with_adjacent_heads
from crossiqa_edge.kernels.attention_tiles import AttentionTile, forward_tile, int8_tile
from crossiqa_edge.kernels.device import DTYPES, architecture, current_device, dot_precision
from crossiqa_edge.kernels.pairs import quotient
from crossiqa_edge.kernels.spec import KernelSpec, Workload
from crossiqa_edge.kernels.targets import compile_options, target_of

_LARGEST_BATCH = 65535  # programs along the third axis of a launch grid


@triton.jit
def attention_kernel(
    qkv_pointer,
    keep_pointer,
    out_pointer,
    sums_pointer,
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
    SLICED: tl.constexpr,
):
    """Launched on a grid of (ceil(tokens / BLOCK), heads, batch).

    qkv (batch, tokens, 3, heads, DIM), the last three axes contiguous, ``batch_stride`` and
    ``token_stride`` elements between the others; keep (batch, tokens) uint8 or None, contiguous: keys with
    0 do not count; out (batch, tokens, heads * DIM), contiguous; sums (4, batch, heads, tokens) float32 or
    None: of a query's scores the largest, before SCALE, the sum of exp(SCALE * (score - largest)), and the
    rests of both, 0 unless float32 was computed in pairs; inf and 1 where no key counts (the output is 0).

    STEP rows are taken a turn, then those of REST, a tuple, at once; STEP is 0 where REST takes all. INT8: as
    ``attention_int8.py`` says; INT8_DOT: on a target that multiplies int8. SLICED: scores are summed slice by
    slice (``slices.py``), which float32 in pairs does where it has to.
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
    IN_PAIRS: tl.constexpr = query.dtype == tl.float32 and PRECISION == "ieee"
    peak_rest = tl.zeros((BLOCK,), tl.float32)
    total_rest = peak_rest
    if IN_PAIRS:
        peak, peak_rest, total, total_rest, context, context_rest = attend_in_pairs(
            *(query, key_base, value_base, token_stride, tokens, keep_pointer, SCALE, DIM, STEP, REST)
        )
    else:
        peak, total, context = attend_to_all(
            *(query, key_base, value_base, token_stride, tokens, keep_pointer),
            *(SCALE, DIM, STEP, REST, INT8, INT8_DOT, PRECISION, SLICED),
        )
    if keep_pointer is not None:
        peak = tl.where(total == 0.0, float("inf"), peak)
        peak_rest = tl.where(total == 0.0, 0.0, peak_rest)
        total = tl.where(total == 0.0, 1.0, total)
    if IN_PAIRS:
        context, context_rest = quotient(context, context_rest, total[:, None], total_rest[:, None])
        context += context_rest
    else:
        context /= total[:, None]
    present = row < tokens
    out_base = out_pointer + batch * tokens * width + head * DIM
    store_rows(out_base, row, width, present, context, DIM)
    if sums_pointer is not None:
        plane = tl.num_programs(2).to(tl.int64) * heads * tokens
        sums = sums_pointer + (batch * heads + head) * tokens + row
        tl.store(sums, peak, mask=present)
        tl.store(sums + plane, total, mask=present)
        tl.store(sums + 2 * plane, peak_rest, mask=present)
        tl.store(sums + 3 * plane, total_rest, mask=present)


def launch_attention(
    qkv: Tensor,
    mask: Tensor | None,
    scale: float,
    *,
    save_sums: bool = False,
    int8: bool = False,
    tile: AttentionTile | None = None,
) -> tuple[Tensor, Tensor]:
    """Run the kernel: (out, sums), the second empty unless ``save_sums``.

    Shapes, types and what is allowed: see ``attention`` in ``attention.py``, which checks them, and
    ``attention_int8`` for ``int8``. ``tile`` replaces the choice of ``forward_tile`` or ``int8_tile``, for
    tests and measurements.
    """
    batch, tokens, _, heads, dim = qkv.shape
    if batch > _LARGEST_BATCH:  # asked here, where a batch has a size: torch.export is to allow any
        raise ConfigError(f"attention takes at most {_LARGEST_BATCH} views at once, not {batch}")
    qkv = with_adjacent_heads(qkv)
    out = qkv.new_empty(batch, tokens, heads * dim)
    shape = (4, batch, heads, tokens) if save_sums else (0,)
    sums = torch.empty(shape, dtype=torch.float32, device=qkv.device)
    gpu = architecture(qkv.device)
    if tile is None:
        tile = int8_tile(gpu, tokens, dim) if int8 else forward_tile(gpu, tokens, dim, DTYPES[qkv.dtype])
    if out.numel():
        with current_device(qkv.device):
            attention_kernel[(-(-tokens // tile.block), heads, batch)](
                qkv,
                None if mask is None else mask.contiguous().view(torch.uint8),
                out,
                sums if save_sums else None,
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
                SLICED=tile.sliced,
                **compile_options(gpu, tile.warps, tile.stages),
            )
    return out, sums


def specs(workload: Workload) -> Iterator[KernelSpec]:
    """The form that inference takes: no mask, no ``sums``, ``qkv`` contiguous."""
    tile = forward_tile(workload.architecture, workload.tokens, workload.head_dim, workload.dtype)
    yield attention_spec(workload, "attention", tile)


def attention_spec(
    workload: Workload, name: str, tile: AttentionTile, *, int8: bool = False, save_sums: bool = False
) -> KernelSpec:
    """The kernel at ``tile`` as the compiler takes it, without a mask, ``qkv`` contiguous."""
    dtype, dim, row = workload.dtype, workload.head_dim, 3 * workload.width
    return KernelSpec(
        name=name,
        function=attention_kernel,
        signature={
            **{"qkv_pointer": f"*{dtype}", "out_pointer": f"*{dtype}"},
            **({"sums_pointer": "*fp32"} if save_sums else {}),
            **{"tokens": "i32", "heads": "i32", "batch_stride": "i32", "token_stride": "i32"},
        },
        constants={
            **({} if save_sums else {"sums_pointer": None}),
            **{"keep_pointer": None, "SCALE": dim**-0.5, "DIM": dim},
            **{"BLOCK": tile.block, "STEP": tile.step, "REST": tile.rest},
            **{"INT8": int8, "INT8_DOT": target_of(workload.architecture).int8_dot, "PRECISION": "ieee"},
            "SLICED": tile.sliced,
        },
        grid=((("tokens", tile.block),), (("heads", 1),), (("batch", 1),)),
        sizes={
            **{"tokens": workload.tokens, "heads": workload.heads, "batch": workload.batch},
            **{"batch_stride": workload.tokens * row, "token_stride": row},
        },
        fixed=("tokens",),  # STEP and REST are its digits
        aligned=("batch_stride", "token_stride"),
        warps=tile.warps,
        stages=tile.stages,
        matrix=dtype != "fp32",  # in float32 ordinary cores multiply, unless torch is told to allow TF32
        async_copy=tile.step > 0 and tile.stages > 1,
    )
