"""What each kernel is timed against: the same inputs and the same work, changes of layout included."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from crossiqa_edge.kernels.attention import attention
from crossiqa_edge.kernels.attention_int8 import attention_int8
from crossiqa_edge.kernels.layer_norm import add_layer_norm, layer_norm
from crossiqa_edge.kernels.linear import linear
from crossiqa_edge.kernels.linear_int8 import linear_int8, quantise_rows

OURS = "crossiqa"
OURS_WIDE = f"{OURS} in 16 bits"
EAGER = "eager"
COMPILED = "torch.compile"

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
_SDPA = {
    "sdpa flash": SDPBackend.FLASH_ATTENTION,
    "sdpa efficient": SDPBackend.EFFICIENT_ATTENTION,
    "sdpa cudnn": SDPBackend.CUDNN_ATTENTION,
    "sdpa math": SDPBackend.MATH,
}

Call = Callable[[], Tensor | tuple[Tensor, ...]]  # of several results the first is compared


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        kernel: what is timed, for instance ``attention``.
        shape: its sizes.
        flops: operations, a multiply-add counting two; moved: the least bytes that must move.
        candidates: name -> a function that prepares and gives the call; ``OURS`` is one of them.
    """

    kernel: str
    shape: Mapping[str, int | str]
    flops: float
    moved: float
    candidates: Mapping[str, Callable[[], Call]]


def kernel_cases(device: str, dtype: torch.dtype, *, compiled: bool = True) -> Iterator[Case]:
    """Every kernel at the shapes above, with inputs made on ``device`` when a case is reached."""
    for shape in ATTENTION_SHAPES:
        yield attention_case(*shape, device=device, dtype=dtype, compiled=compiled)
    for shape in INT8_SHAPES:
        yield attention_int8_case(*shape, device=device, dtype=dtype, compiled=compiled)
    for rows, width in ROW_SHAPES:
        yield from row_cases(rows, width, device=device, dtype=dtype, compiled=compiled)
    for rows, depth, columns, epilogue in LINEAR_SHAPES:
        yield int8_case(rows, depth, columns, device=device, dtype=dtype, compiled=compiled)
        yield linear_case(rows, depth, columns, epilogue, device=device, dtype=dtype, compiled=compiled)


def attention_case(
    batch: int, tokens: int, heads: int, dim: int, *, device: str, dtype: torch.dtype, compiled: bool
) -> Case:
    """Packed projection in, rows for the output projection out: torch's side pays for its permutations."""
    qkv = torch.randn(batch, tokens, 3, heads, dim, device=device, dtype=dtype)

    def plain() -> Tensor:
        return _torchs_attention(qkv)

    def by(backend: SDPBackend) -> Call:
        def call() -> Tensor:
            with sdpa_kernel(backend):
                return plain()

        return call

    candidates: dict[str, Callable[[], Call]] = {OURS: lambda: lambda: attention(qkv)}
    candidates |= {name: partial(by, backend) for name, backend in _SDPA.items()}
    return _attention("attention", qkv, candidates | _compiled(plain, compiled))


def attention_int8_case(
    batch: int, tokens: int, heads: int, dim: int, *, device: str, dtype: torch.dtype, compiled: bool
) -> Case:
    """Q K^T in int8, quantised in the kernel, against our kernel and torch's choice in ``dtype``."""
    qkv = torch.randn(batch, tokens, 3, heads, dim, device=device, dtype=dtype)

    def plain() -> Tensor:
        return _torchs_attention(qkv)

    candidates: dict[str, Callable[[], Call]] = {
        OURS: lambda: lambda: attention_int8(qkv),
        OURS_WIDE: lambda: lambda: attention(qkv),
        EAGER: lambda: plain,
    }
    return _attention("attention_int8", qkv, candidates | _compiled(plain, compiled))


def _torchs_attention(qkv: Tensor) -> Tensor:
    query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    context = functional.scaled_dot_product_attention(query, key, value)
    return context.transpose(1, 2).flatten(2)


def _attention(kernel: str, qkv: Tensor, candidates: Mapping[str, Callable[[], Call]]) -> Case:
    batch, tokens, _, heads, dim = qkv.shape
    return Case(
        kernel,
        {"batch": batch, "tokens": tokens, "heads": heads, "head_dim": dim},
        flops=4.0 * batch * heads * tokens**2 * dim,
        moved=4.0 * batch * tokens * heads * dim * qkv.element_size(),
        candidates=candidates,
    )


def row_cases(rows: int, width: int, **options: Any) -> Iterator[Case]:
    """LayerNorm alone, and with the addition before it."""
    make = {"device": options["device"], "dtype": options["dtype"]}
    branch, residual = (torch.randn(rows, width, **make) for _ in range(2))
    weight, bias = (torch.randn(width, **make) for _ in range(2))
    size = branch.element_size()

    def plain() -> Tensor:
        return functional.layer_norm(branch, (width,), weight, bias, 1e-6)

    def plain_added() -> tuple[Tensor, Tensor]:
        stream = residual + branch
        return functional.layer_norm(stream, (width,), weight, bias, 1e-6), stream

    pairs: tuple[tuple[str, Call, Call, int], ...] = (
        ("layer_norm", lambda: layer_norm(branch, weight, bias, 1e-6), plain, 2),
        (
            "add_layer_norm",
            lambda: add_layer_norm(branch, residual, None, weight, bias, 1e-6),
            plain_added,
            4,
        ),
    )
    for name, ours, torchs, passes in pairs:
        yield _pair(
            name,
            {"rows": rows, "width": width},
            flops=8.0 * rows * width,
            moved=float(passes * rows * width * size),
            ours=ours,
            torchs=torchs,
            compiled=options["compiled"],
        )


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

    elements = rows * depth + columns * depth + rows * columns * (1 if added is None else 2)
    return _pair(
        "linear",
        {"rows": rows, "depth": depth, "columns": columns, "epilogue": epilogue},
        flops=2.0 * rows * depth * columns,
        moved=float(elements * x.element_size()),
        ours=lambda: linear(x, weight, bias, None, added, activation),
        torchs=plain,
        compiled=options["compiled"],
    )


def int8_case(rows: int, depth: int, columns: int, **options: Any) -> Case:
    """A linear layer in int8, quantising its activations, against torch's in ``dtype``: what int8 buys."""
    make = {"device": options["device"], "dtype": options["dtype"]}
    x = torch.randn(rows, depth, **make)
    weight, bias = torch.randn(columns, depth, **make) * depth**-0.5, torch.randn(columns, **make)
    quantised, scale = quantise_rows(weight)
    return _pair(
        "linear_int8",
        {"rows": rows, "depth": depth, "columns": columns},
        flops=2.0 * rows * depth * columns,
        moved=float((rows * depth + rows * columns) * x.element_size() + columns * depth),
        ours=lambda: linear_int8(x, quantised, scale, bias),
        torchs=lambda: functional.linear(x, weight, bias),
        compiled=options["compiled"],
    )


def _pair(
    kernel: str,
    shape: Mapping[str, int | str],
    *,
    flops: float,
    moved: float,
    ours: Call,
    torchs: Call,
    compiled: bool,
) -> Case:
    return Case(kernel, shape, flops, moved, pair_of_candidates(ours, torchs, compiled))


def pair_of_candidates(ours: Call, torchs: Call, compiled: bool) -> dict[str, Callable[[], Call]]:
    """Ours, torch's, and where it is wanted torch's by torch.compile, which compiles when it is prepared."""
    return {OURS: lambda: ours, EAGER: lambda: torchs} | _compiled(torchs, compiled)


def _compiled(call: Call, wanted: bool) -> dict[str, Callable[[], Call]]:
    return {COMPILED: lambda: torch.compile(call, dynamic=False)} if wanted else {}
