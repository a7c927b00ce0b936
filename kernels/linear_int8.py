"""W8A8 linear layer: int8 weights with a scale per output, int8 activations with a scale per token.

    q = round(x * 127 / max|x|);    y = (q @ weight.T) * (max|x| / 127) * weight_scale

then bias, GELU, LayerScale and residual as in ``linear.py``. Activations are quantised where they are
loaded: there is no launch and no copy of x for that. The price is that a program reads its rows of x
twice, once for the largest absolute values and once, from the L2 cache, for the product, and that programs
for other columns of the same rows repeat it. The product sums exactly, in int32: 2 M N K operations, on
tensor cores at twice the rate of fp16, with half the bytes of weights. Turing, where Triton has no product
of int8, computes the same integers from fp16 (``integer_product.py``): there only the bytes are halved.
Inference only.

A row of zeros (a blank frame) has scale 1. Rounding is to nearest even.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
import triton
import triton.language as tl
from torch import Tensor

from crossiqa_edge.kernels import linear
from crossiqa_edge.kernels.device import architecture
from crossiqa_edge.kernels.epilogue import check_layer, finish_and_store, finish_reference, output_dtype
from crossiqa_edge.kernels.integer_product import add_product
from crossiqa_edge.kernels.shapes import check_shapes
from crossiqa_edge.kernels.spec import KernelSpec, Workload
from crossiqa_edge.kernels.targets import target_of
from crossiqa_edge.kernels.tiles import linear_tile

LARGEST = 127  # the range is symmetric: -128 is not used


@triton.jit
def _rounded(x):
    """``x``, of at most 2**22, to the nearest integer: there float32 has no bits left behind the point."""
    return (x + 12582912.0) - 12582912.0


@triton.jit
def linear_int8_kernel(
    x_pointer,
    weight_pointer,
    weight_scale_pointer,
    bias_pointer,
    scale_pointer,
    residual_pointer,
    output_pointer,
    rows,
    x_stride,
    residual_stride,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    GELU: tl.constexpr,
    INT8_DOT: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_COLUMNS: tl.constexpr,
    BLOCK_DEPTH: tl.constexpr,
):
    """One tile of the output. Launched on a 1D grid of row blocks by column blocks, columns fastest.

    x (rows, DEPTH) of any floating dtype, stride ``x_stride`` between rows; weight (COLUMNS, DEPTH) int8,
    contiguous; weight_scale (COLUMNS,) float32; INT8_DOT as in ``add_product``; the rest as in
    ``linear_kernel``.
    """
    column_blocks: tl.constexpr = tl.cdiv(COLUMNS, BLOCK_COLUMNS)
    row = tl.program_id(0) // column_blocks * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    column = tl.program_id(0) % column_blocks * BLOCK_COLUMNS + tl.arange(0, BLOCK_COLUMNS)
    depth = tl.arange(0, BLOCK_DEPTH)
    x_pointers = x_pointer + tl.minimum(row, rows - 1).to(tl.int64)[:, None] * x_stride + depth[None, :]
    weight_pointers = weight_pointer + tl.minimum(column, COLUMNS - 1)[None, :] * DEPTH + depth[:, None]
    largest = tl.zeros((BLOCK_ROWS,), tl.float32)
    for start in range(0, DEPTH, BLOCK_DEPTH):
        x = tl.load(x_pointers + start, mask=(start + depth < DEPTH)[None, :], other=0.0).to(tl.float32)
        largest = tl.maximum(largest, tl.max(tl.abs(x), axis=1))
    x_scale = tl.where(largest > 0, largest / 127.0, 1.0)
    product = tl.zeros((BLOCK_ROWS, BLOCK_COLUMNS), tl.int32)
    for start in range(0, DEPTH, BLOCK_DEPTH):
        present = start + depth < DEPTH
        x = tl.load(x_pointers + start, mask=present[None, :], other=0.0).to(tl.float32)
        quantised = _rounded(x / x_scale[:, None]).to(tl.int8)
        weight = tl.load(weight_pointers + start, mask=present[:, None], other=0)
        product = add_product(product, quantised, weight, INT8_DOT)
    weight_scale = tl.load(weight_scale_pointer + column, mask=column < COLUMNS, other=0.0)
    finish_and_store(
        product.to(tl.float32) * x_scale[:, None] * weight_scale[None, :],
        bias_pointer,
        scale_pointer,
        residual_pointer,
        output_pointer,
        row,
        column,
        rows,
        residual_stride,
        COLUMNS,
        GELU,
    )


def quantise_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """(int8 (..., K), float32 scale (...)): x is about int8 * scale, symmetric, largest value to 127.

    For the weight of a linear layer these are its int8 weight and the scale of each output.
    """
    wide = x.float()
    largest = wide.abs().amax(-1)
    scale = torch.where(largest > 0, largest / LARGEST, 1.0)
    return (wide / scale[..., None]).round().to(torch.int8), scale


def linear_int8_reference(
    x: Tensor,
    weight: Tensor,
    weight_scale: Tensor,
    bias: Tensor | None = None,
    scale: Tensor | None = None,
    residual: Tensor | None = None,
    activation: str = "none",
) -> Tensor:
    """The formula above, with a float64 product, which is exact like the kernel's in int32."""
    quantised, x_scale = quantise_rows(x)
    product = (quantised.double() @ weight.double().T).float() * x_scale[..., None] * weight_scale
    return finish_reference(product, bias, scale, residual, activation).to(output_dtype(x, residual))


def launch_linear_int8(
    x: Tensor,
    weight: Tensor,
    weight_scale: Tensor,
    bias: Tensor | None = None,
    scale: Tensor | None = None,
    residual: Tensor | None = None,
    activation: str = "none",
) -> Tensor:
    """Run the kernel: (..., columns), contiguous, with the dtype of the residual, or of x without one."""
    weights, int8_dot = (weight, weight_scale), target_of(architecture(x.device)).int8_dot
    return linear.launch_tiles(
        linear_int8_kernel, x, weights, bias, scale, residual, activation, INT8_DOT=int8_dot
    )


@torch.library.custom_op("crossiqa::linear_int8", mutates_args=())
def linear_int8(
    x: Tensor,
    weight: Tensor,
    weight_scale: Tensor,
    bias: Tensor | None = None,
    scale: Tensor | None = None,
    residual: Tensor | None = None,
    activation: str = "none",
) -> Tensor:
    """residual + scale * activation(x @ (weight * weight_scale).T + bias), x quantised token by token.

    x (..., depth), floating; weight (columns, depth) int8 and weight_scale (columns,) float32, from
    ``quantise_rows``; bias and scale (columns,); residual (..., columns). The reference on a CPU.

    Raises:
        ConfigError: shapes other than these, or an unknown ``activation``; it is ``none`` or ``gelu``.
    """
    check_layer(x, weight, bias, scale, residual, activation)
    check_shapes("linear_int8", weight_scale=(weight_scale, (len(weight),)))
    run = launch_linear_int8 if x.is_cuda else linear_int8_reference
    return run(x, weight, weight_scale, bias, scale, residual, activation)


@linear_int8.register_fake
def _(
    x: Tensor,
    weight: Tensor,
    weight_scale: Tensor,
    bias: Tensor | None = None,
    scale: Tensor | None = None,
    residual: Tensor | None = None,
    activation: str = "none",
) -> Tensor:
    return x.new_empty((*x.shape[:-1], weight.shape[0]), dtype=output_dtype(x, residual))


def specs(workload: Workload) -> Iterator[KernelSpec]:
    """The four linear layers of a block in int8; ``workload.dtype`` is that of the activations."""
    target = target_of(workload.architecture)
    for spec in linear.specs(workload):
        columns, depth = spec.sizes["columns"], spec.sizes["x_stride"]
        tile = linear_tile(workload.architecture, workload.rows, columns, depth, workload.dtype, "int8")
        x_type, _, *rest = spec.parameters
        own = {"INT8_DOT": target.int8_dot, "BLOCK_ROWS": tile.rows}
        own |= {"BLOCK_COLUMNS": tile.columns, "BLOCK_DEPTH": tile.depth}
        yield replace(
            spec,
            name=spec.name.replace("linear", "linear_int8"),
            function=linear_int8_kernel,
            signature=dict([x_type, ("weight_pointer", "*i8"), ("weight_scale_pointer", "*fp32"), *rest]),
            constants={name: value for name, value in spec.constants.items() if name != "PRECISION"} | own,
            grid=((("rows", tile.rows), ("columns", tile.columns)),),
            warps=tile.warps,
            stages=tile.stages,
            matrix=True,
            async_copy=tile.stages > 1,
        )
