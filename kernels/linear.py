"""Linear layer with what follows it in a transformer block fused into its last step.

    y = x @ weight.T + bias;    y = GELU(y);    y = residual + scale * y        (each of the three optional)

For an (M, K) input and an (N, K) weight these are 2 M N K FLOPs on M K + N K + M N elements. At batch 64
and width C that is C/2 (projection) to 4 C/5 (MLP) FLOPs a byte in fp16; an A100 needs about 150, an H100
300 to be limited by its tensor cores. So nano and tiny are limited by memory, base by arithmetic. At batch 1
reading the weights is the limit for all of them.

float32 products follow ``torch.set_float32_matmul_precision``: where it is ``highest`` they are summed in
pairs (``pair_products.py``) and finished in float64, so that a result is rounded once; else they are TF32.
The backward pass is made of torch's own matrix products, which are at the limit already; it computes the
value before GELU again instead of storing it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional

from crossiqa_edge.kernels.device import DTYPES, architecture, current_device, dot_precision
from crossiqa_edge.kernels.epilogue import check_layer, finish_and_store, finish_reference, output_dtype
from crossiqa_edge.kernels.pair_products import pair_product
from crossiqa_edge.kernels.pairs import plus
from crossiqa_edge.kernels.rows import as_rows
from crossiqa_edge.kernels.spec import KernelSpec, Workload
from crossiqa_edge.kernels.targets import compile_options
from crossiqa_edge.kernels.tiles import linear_tile


@triton.jit
def linear_kernel(
    x_pointer,
    weight_pointer,
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
    PRECISION: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_COLUMNS: tl.constexpr,
    BLOCK_DEPTH: tl.constexpr,
):
    """One tile of the output. Launched on a 1D grid of row blocks by column blocks, columns fastest.

    x (rows, DEPTH) with stride ``x_stride`` between rows; weight (COLUMNS, DEPTH), contiguous; bias and
    scale (COLUMNS,) or None; residual (rows, COLUMNS) with ``residual_stride``, or None; output
    (rows, COLUMNS), contiguous. x and weight of one dtype, the others of any floating dtype.

    A layer's whole weight fits in the L2 cache, so programs that follow each other share rows of x.
    Rows and columns beyond the edge read the last one again, which keeps masks out of the inner loop;
    only the store is masked, and the depth where BLOCK_DEPTH does not divide it.
    """
    column_blocks: tl.constexpr = tl.cdiv(COLUMNS, BLOCK_COLUMNS)
    row = tl.program_id(0) // column_blocks * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    column = tl.program_id(0) % column_blocks * BLOCK_COLUMNS + tl.arange(0, BLOCK_COLUMNS)
    depth = tl.arange(0, BLOCK_DEPTH)
    x_pointers = x_pointer + tl.minimum(row, rows - 1).to(tl.int64)[:, None] * x_stride + depth[None, :]
    weight_pointers = weight_pointer + tl.minimum(column, COLUMNS - 1)[None, :] * DEPTH + depth[:, None]
    IN_PAIRS: tl.constexpr = x_pointer.dtype.element_ty == tl.float32 and PRECISION == "ieee"
    product = tl.zeros((BLOCK_ROWS, BLOCK_COLUMNS), tl.float32)
    rest = tl.zeros((BLOCK_ROWS, BLOCK_COLUMNS), tl.float32)
    for start in range(0, DEPTH, BLOCK_DEPTH):
        if DEPTH % BLOCK_DEPTH == 0:
            x = tl.load(x_pointers + start)
            weight = tl.load(weight_pointers + start)
        else:
            present = start + depth < DEPTH
            x = tl.load(x_pointers + start, mask=present[None, :], other=0.0)
            weight = tl.load(weight_pointers + start, mask=present[:, None], other=0.0)
        if IN_PAIRS:
            product, rest = plus(product, rest, *pair_product(x, 0.0, weight, 0.0))
        else:
            product = tl.dot(x, weight, product, input_precision=PRECISION)
    if IN_PAIRS:
        product = product.to(tl.float64) + rest.to(tl.float64)
    finish_and_store(
        product,
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


def linear_reference(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    scale: Tensor | None = None,
    residual: Tensor | None = None,
    activation: str = "none",
) -> Tensor:
    """The formula above in float32 (float64 where the input is), rounded once, at the end."""
    wide = torch.promote_types(x.dtype, torch.float32)
    y = x.to(wide) @ weight.to(wide).T
    return finish_reference(y, bias, scale, residual, activation).to(output_dtype(x, residual))


def launch_linear(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    scale: Tensor | None = None,
    residual: Tensor | None = None,
    activation: str = "none",
) -> Tensor:
    """Run the kernel: (..., columns), contiguous, with the dtype of the residual if there is one, else of x.

    x (..., depth) and residual (..., columns), any strides; weight (columns, depth); bias, scale (columns,).
    """
    precision = dot_precision(x.dtype)
    return launch_tiles(linear_kernel, x, (weight,), bias, scale, residual, activation, PRECISION=precision)


def launch_tiles(
    kernel: Any,
    x: Tensor,
    weights: tuple[Tensor, ...],
    bias: Tensor | None,
    scale: Tensor | None,
    residual: Tensor | None,
    activation: str,
    **constants: str | bool,
) -> Tensor:
    """Run ``kernel``, this one or the one of ``linear_int8.py``, with its ``weights`` and ``constants``."""
    x_rows = as_rows(x)
    rows, depth = x_rows.shape
    columns = len(weights[0])
    residual_rows = None if residual is None else as_rows(residual)
    output = torch.empty((*x.shape[:-1], columns), dtype=output_dtype(x, residual), device=x.device)
    gpu = architecture(x.device)
    int8 = "int8" if weights[0].dtype == torch.int8 else None
    dtype = "tf32" if constants.get("PRECISION") == "tf32" else DTYPES[x.dtype]
    tile = linear_tile(gpu, rows, columns, depth, dtype, int8)
    with current_device(x.device):
        kernel[(-(-rows // tile.rows) * -(-columns // tile.columns),)](
            x_rows,
            *(weight.contiguous() for weight in weights),
            None if bias is None else bias.contiguous(),
            None if scale is None else scale.contiguous(),
            residual_rows,
            output,
            rows,
            x_rows.stride(0),
            0 if residual_rows is None else residual_rows.stride(0),
            COLUMNS=columns,
            DEPTH=depth,
            GELU=activation == "gelu",
            BLOCK_ROWS=tile.rows,
            BLOCK_COLUMNS=tile.columns,
            BLOCK_DEPTH=tile.depth,
            **constants,
            **compile_options(gpu, tile.warps, tile.stages),
        )
    return output


@torch.library.custom_op("crossiqa::linear", mutates_args=())
def linear(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    scale: Tensor | None = None,
    residual: Tensor | None = None,
    activation: str = "none",
) -> Tensor:
    """residual + scale * activation(x @ weight.T + bias); the reference on a CPU, the kernel on a GPU.

    x (..., depth); weight (columns, depth); bias and scale (columns,); residual (..., columns).

    Raises:
        ConfigError: shapes other than these, or an unknown ``activation``; it is ``none`` or ``gelu``.
    """
    check_layer(x, weight, bias, scale, residual, activation)
    run = launch_linear if x.is_cuda else linear_reference
    return run(x, weight, bias, scale, residual, activation)


@linear.register_fake
def _(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    scale: Tensor | None = None,
    residual: Tensor | None = None,
    activation: str = "none",
) -> Tensor:
    return x.new_empty((*x.shape[:-1], weight.shape[0]), dtype=output_dtype(x, residual))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, bias, scale, residual, ctx.activation = inputs
    ctx.has_residual = residual is not None
    ctx.save_for_backward(x, weight, bias, scale)


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """By torch's matrix products, in the dtype of x."""
    x, weight, bias, scale = ctx.saved_tensors
    residual_gradient = gradient if ctx.has_residual else None
    gradient = as_rows(gradient.to(x.dtype))
    rows = as_rows(x)
    scale_gradient = None
    if ctx.activation == "gelu" or scale is not None:
        inner = functional.linear(rows, weight, None if bias is None else bias.to(x.dtype))
        if scale is not None:
            branch = functional.gelu(inner) if ctx.activation == "gelu" else inner
            scale_gradient = (gradient * branch).sum(0).to(scale.dtype)
            gradient = gradient * scale.to(x.dtype)
        if ctx.activation == "gelu":
            gradient = torch.ops.aten.gelu_backward(gradient, inner)
    bias_gradient = None if bias is None else gradient.sum(0).to(bias.dtype)
    x_gradient = (gradient @ weight).view(x.shape)
    return x_gradient, gradient.T @ rows, bias_gradient, scale_gradient, residual_gradient, None


linear.register_autograd(_gradients, setup_context=_keep)


def specs(workload: Workload) -> Iterator[KernelSpec]:
    """The four linear layers of a block, with the epilogue that each of them has there."""
    width, hidden = workload.width, workload.hidden
    scale = {"scale"} if workload.layer_scale else set()
    yield _spec(workload, "linear.qkv", 3 * width, width, {"bias"})
    yield _spec(workload, "linear.projection", width, width, {"bias", "residual"} | scale)
    yield _spec(workload, "linear.fc1", hidden, width, {"bias", "gelu"})
    yield _spec(workload, "linear.fc2", width, hidden, {"bias", "residual"} | scale)


def _spec(workload: Workload, name: str, columns: int, depth: int, steps: set[str]) -> KernelSpec:
    tile = linear_tile(workload.architecture, workload.rows, columns, depth, workload.dtype)
    pointer = f"*{workload.dtype}"
    optional = ("bias", "scale", "residual")
    present = ["x", "weight", *(step for step in optional if step in steps), "output"]
    return KernelSpec(
        name=name,
        function=linear_kernel,
        signature={f"{operand}_pointer": pointer for operand in present}
        | {"rows": "i32", "x_stride": "i32", "residual_stride": "i32"},
        constants={f"{step}_pointer": None for step in optional if step not in steps}
        | {
            "COLUMNS": columns,
            "DEPTH": depth,
            "GELU": "gelu" in steps,
            "PRECISION": "ieee",
            "BLOCK_ROWS": tile.rows,
            "BLOCK_COLUMNS": tile.columns,
            "BLOCK_DEPTH": tile.depth,
        },
        grid=((("rows", tile.rows), ("columns", tile.columns)),),
        sizes={"rows": workload.rows, "columns": columns, "x_stride": depth, "residual_stride": columns},
        aligned=("x_stride", "residual_stride"),
        warps=tile.warps,
        stages=tile.stages,
        matrix=workload.dtype != "fp32",
        async_copy=tile.stages > 1,
    )
