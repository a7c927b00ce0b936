"""What each kernel is timed against: the same inputs and the same work, changes of layout included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.backends import cuda
from torch.nn import functional

from crossiqa_edge.bench.kernel_names import EAGER, OURS, OURS_WIDE, SDPA
from crossiqa_edge.bench.kernel_peers import Call, Candidates, by_compiler, pair_of_candidates
from crossiqa_edge.kernels.attention import attention
from crossiqa_edge.kernels.attention_int8 import attention_int8
from crossiqa_edge.kernels.layer_norm import add_layer_norm, layer_norm
from crossiqa_edge.kernels.linear import linear
from crossiqa_edge.kernels.linear_int8 import linear_int8, quantise_rows

# (batch, tokens, heads, head dim): small views, nano and the others at 224, long rows of 384 and 512 pixels
ATTENTION_SHAPES = (
    *((1, 197, 4, 32), (1, 197, 3, 64), (8, 197, 3, 64), (64, 197, 3, 64), (64, 197, 12, 64)),
    *((64, 50, 4, 32), (256, 197, 4, 32), (1, 577, 6, 64), (8, 577, 6, 64)),
    *((1, 1025, 12, 64), (8, 1025, 12, 64)),
)
INT8_SHAPES = ((1, 197, 3, 64), (64, 197, 12, 64), (8, 1025, 12, 64))  # least, most and longest work
ROW_SHAPES = ((197, 128), (197, 192), (64 * 197, 192), (64 * 197, 768))
# rows, depth, columns, epilogue
LINEAR_SHAPES = (
    *((197, 192, 576, "bias"), (197, 192, 768, "gelu"), (197, 768, 192, "residual")),
    *((64 * 197, 192, 768, "gelu"), (64 * 197, 768, 3072, "gelu"), (64 * 197, 3072, 768, "residual")),
)
# Backend -> its switch. ``sdpa_kernel`` would take longer than the kernels do, in each call that is timed.
_SDPA = {
    f"{SDPA} flash": cuda.enable_flash_sdp,
    f"{SDPA} efficient": cuda.enable_mem_efficient_sdp,
    f"{SDPA} cudnn": cuda.enable_cudnn_sdp,
    f"{SDPA} math": cuda.enable_math_sdp,
}

Shape = Mapping[str, int | str]


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        flops: operations, a multiply-add counting two; moved: the least bytes that must move.
        candidates: name -> a function that prepares and gives the call; ``OURS`` is one of them.
        int8: the part of the operations that ``OURS`` does in int8.
    """

    flops: float
    moved: float
    candidates: Mapping[str, Callable[[], Call]]
    int8: float = 0.0


@dataclass(frozen=True)
class Planned:
    """A case that is not made yet, so that what its inputs take is taken when it is its turn.

    Attributes:
        kernel: what is timed, for instance ``attention``.
        shape: its sizes.
        make: makes the inputs and the candidates.
    """

    kernel: str
    shape: Shape
    make: Callable[[], Case]


def attention_case(
    batch: int, tokens: int, heads: int, dim: int, *, device: str, dtype: torch.dtype, compiled: bool
) -> Case:
    """Packed projection in, rows for the output projection out: torch's side pays for its permutations."""
    qkv = torch.randn(batch, tokens, 3, heads, dim, device=device, dtype=dtype)

    def plain() -> Tensor:
        return _torchs_attention(qkv)

    candidates: Candidates = {OURS: lambda: lambda: attention(qkv)}
    candidates |= {name: partial(_by, name, plain) for name in _SDPA}
    return _attention(qkv, candidates | by_compiler(plain, compiled))


def _by(name: str, attend: Call) -> Call:
    """``attend`` by the backend ``name`` of SDPA alone; all of them are allowed before and after."""

    def call() -> Tensor | tuple[Tensor, ...]:
        for each, allow in _SDPA.items():
            allow(each == name)
        try:
            return attend()
        finally:
            for allow in _SDPA.values():
                allow(True)

    return call


def attention_int8_case(
    batch: int, tokens: int, heads: int, dim: int, *, device: str, dtype: torch.dtype, compiled: bool
) -> Case:
    """Q K^T in int8, quantised in the kernel, against our kernel and torch's choice in ``dtype``."""
    qkv = torch.randn(batch, tokens, 3, heads, dim, device=device, dtype=dtype)

    def plain() -> Tensor:
        return _torchs_attention(qkv)

    candidates: Candidates = {
        OURS: lambda: lambda: attention_int8(qkv),
        OURS_WIDE: lambda: lambda: attention(qkv),
        EAGER: lambda: plain,
    }
    return _attention(qkv, candidates | by_compiler(plain, compiled), int8=0.5)


def _torchs_attention(qkv: Tensor) -> Tensor:
    query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    context = functional.scaled_dot_product_attention(query, key, value)
    return context.transpose(1, 2).flatten(2)


def _attention(qkv: Tensor, candidates: Candidates, int8: float = 0.0) -> Case:
    batch, tokens, _, heads, dim = qkv.shape
    return Case(
        flops=4.0 * batch * heads * tokens**2 * dim,
        moved=4.0 * batch * tokens * heads * dim * qkv.element_size(),
        candidates=candidates,
        int8=int8,
    )


def layer_norm_case(rows: int, width: int, **options: Any) -> Case:
    """LayerNorm alone."""
    (x,), weight, bias = _rows(1, rows, width, options)
    return _row_case(
        x,
        passes=2,
        ours=lambda: layer_norm(x, weight, bias, 1e-6),
        torchs=lambda: functional.layer_norm(x, (width,), weight, bias, 1e-6),
        compiled=options["compiled"],
    )


def add_layer_norm_case(rows: int, width: int, **options: Any) -> Case:
    """LayerNorm with the addition before it, whose sum is a result as well."""
    (branch, residual), weight, bias = _rows(2, rows, width, options)

    def plain() -> tuple[Tensor, Tensor]:
        stream = residual + branch
        return functional.layer_norm(stream, (width,), weight, bias, 1e-6), stream

    return _row_case(
        branch,
        passes=4,
        ours=lambda: add_layer_norm(branch, residual, None, weight, bias, 1e-6),
        torchs=plain,
        compiled=options["compiled"],
    )


def _rows(
    count: int, rows: int, width: int, options: dict[str, Any]
) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
    make = {"device": options["device"], "dtype": options["dtype"]}
    weight, bias = (torch.randn(width, **make) for _ in range(2))
    return tuple(torch.randn(rows, width, **make) for _ in range(count)), weight, bias


def _row_case(x: Tensor, *, passes: int, ours: Call, torchs: Call, compiled: bool) -> Case:
    moved = float(passes * x.numel() * x.element_size())
    return Case(8.0 * x.numel(), moved, pair_of_candidates(ours, torchs, compiled))


def linear_case(rows: int, depth: int, columns: int, epilogue: str, **options: Any) -> Case:
    """A linear layer with what follows it in a block: nothing, GELU, or the residual addition."""
    make = {"device": options["device"], "dtype": options["dtype"]}
    x, residual = torch.randn(rows, depth, **make), torch.randn(rows, columns, **make)
    weight, bias = torch.randn(columns, depth, **make) * depth**-0.5, torch.randn(columns, **make)
    added = residual if epilogue == "residual" else None
    activation = "gelu" if epilogue == "gelu" else "none"

    def plain() -> Tensor:
        y = functional.linear(x, weight, bias)
        y = functional.gelu(y) if epilogue == "gelu" else y
        return y if added is None else y + added

    def ours() -> Tensor:
        y: Tensor = linear(x, weight, bias, None, added, activation)
        return y

    elements = rows * depth + columns * depth + rows * columns * (1 if added is None else 2)
    moved = float(elements * x.element_size())
    return Case(2.0 * rows * depth * columns, moved, pair_of_candidates(ours, plain, options["compiled"]))


def int8_case(rows: int, depth: int, columns: int, **options: Any) -> Case:
    """A linear layer in int8, quantising its activations, against torch's in ``dtype``: what int8 buys."""
    make = {"device": options["device"], "dtype": options["dtype"]}
    x = torch.randn(rows, depth, **make)
    weight, bias = torch.randn(columns, depth, **make) * depth**-0.5, torch.randn(columns, **make)
    quantised, scale = quantise_rows(weight)
    candidates = pair_of_candidates(
        lambda: linear_int8(x, quantised, scale, bias),
        lambda: functional.linear(x, weight, bias),
        options["compiled"],
    )
    moved = float((rows * depth + rows * columns) * x.element_size() + columns * depth)
    return Case(2.0 * rows * depth * columns, moved, candidates, int8=1.0)
