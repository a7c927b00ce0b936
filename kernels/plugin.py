"""Attention as TensorRT launches it: the forward kernel behind another parameter list, compiled for its GPU.

TensorRT passes a plugin's kernel its inputs, then integers, then its outputs, and nothing else: neither
strides nor floats nor Triton's own two pointers. So this entry takes the projection's output as it lies,
fixes the rest at compile time, and leaves the body to ``attention_forward.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import triton
import triton.language as tl

from crossiqa_edge.kernels.aot import compile_kernel
from crossiqa_edge.kernels.assembly import without_hidden_parameters
from crossiqa_edge.kernels.attention_forward import attention_kernel
from crossiqa_edge.kernels.attention_tiles import AttentionTile, forward_tile
from crossiqa_edge.kernels.spec import KernelSpec
from crossiqa_edge.kernels.targets import TARGETS

TACTICS = 2
_SMALLEST_BLOCK = 16  # rows that tensor cores take


@triton.jit
def attention_plugin_kernel(
    qkv_pointer,
    tokens,
    out_pointer,
    SCALE: tl.constexpr,
    HEADS: tl.constexpr,
    DIM: tl.constexpr,
    BLOCK: tl.constexpr,
    STEP: tl.constexpr,
    REST: tl.constexpr,
    SLICED: tl.constexpr,
):
    """The body's grid; qkv (batch, tokens, 3 * HEADS * DIM), out (batch, tokens, HEADS * DIM), contiguous."""
    row: tl.constexpr = 3 * HEADS * DIM
    attention_kernel(
        *(qkv_pointer, None, out_pointer, None),
        *(tokens, HEADS, tokens * row, row),
        *(SCALE, DIM, BLOCK, STEP, REST, False, True, "ieee", SLICED),
    )


@dataclass(frozen=True, slots=True)
class PluginKernel:
    """What TensorRT is given.

    Attributes:
        entry: name of the function in ``ptx``.
        ptx: code for one GPU; its entry takes (qkv, tokens, out) and nothing else.
        block: queries of a program; the grid is (ceil(tokens / block), heads, batch).
        threads: of a block.
        shared: bytes of shared memory of a block.
    """

    entry: str
    ptx: str
    block: int
    threads: int
    shared: int


def tactics(architecture: int, tokens: int, head_dim: int, dtype: str) -> tuple[AttentionTile, ...]:
    """``TACTICS`` tiles for TensorRT to time, the one that the launcher would take first."""
    best = forward_tile(architecture, tokens, head_dim, dtype)
    if best.block > _SMALLEST_BLOCK:  # half as many registers a thread
        return best, replace(best, block=best.block // 2)
    return best, replace(best, block=best.block * 2, warps=best.warps * 2)


def compile_plugin(
    architecture: int,
    dtype: str,
    *,
    tokens: int,
    heads: int,
    head_dim: int,
    scale: float,
    tile: AttentionTile,
) -> PluginKernel:
    """Compile the entry for one tile and any batch.

    Raises:
        BackendError: Triton cannot, or its entry has parameters that TensorRT would not pass.
        ConfigError: an architecture that is not in ``TARGETS``.
    """
    spec = plugin_spec(dtype, tokens=tokens, heads=heads, head_dim=head_dim, scale=scale, tile=tile)
    compiled = compile_kernel(spec, TARGETS[architecture])
    return PluginKernel(
        entry=compiled.entry,
        ptx=without_hidden_parameters(compiled.ptx),
        block=tile.block,
        threads=32 * compiled.warps,
        shared=compiled.shared,
    )


def plugin_spec(
    dtype: str, *, tokens: int, heads: int, head_dim: int, scale: float, tile: AttentionTile
) -> KernelSpec:
    """The entry for one tile, as the compiler takes it."""
    return KernelSpec(
        name="attention.plugin",
        function=attention_plugin_kernel,
        signature={"qkv_pointer": f"*{dtype}", "tokens": "i32", "out_pointer": f"*{dtype}"},
        constants={
            **{"SCALE": scale, "HEADS": heads, "DIM": head_dim},
            **{"BLOCK": tile.block, "STEP": tile.step, "REST": tile.rest, "SLICED": tile.sliced},
        },
        grid=((("tokens", tile.block),), (("heads", 1),), (("batch", 1),)),
        sizes={"batch": 1, "tokens": tokens, "heads": heads},
        warps=tile.warps,
        stages=tile.stages,
        matrix=dtype != "fp32",
        async_copy=tile.step > 0 and tile.stages > 1,
    )
