"""LayerNorm over the last axis, with the residual addition and the LayerScale before it fused in.

    stream = residual + scale * branch                    (only with a residual; LayerScale is optional)
    normalised = (stream - mean) / sqrt(variance + epsilon) * weight + bias

A row fits in the registers of a few warps, so each element is read once and written once: the limit is
memory. A row of C elements moves 2 C elements (4 C with a residual) for about 8 C FLOPs, far below any
GPU's ratio of arithmetic to bandwidth. Statistics are taken of the centred row in float32; where the result
is float32, all is computed in pairs of it (``pairs.py``) and rounded once. Statistics are not stored: the
backward pass has the row in registers again and takes them anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from crossiqa_edge.kernels.device import architecture, current_device
from crossiqa_edge.kernels.layer_norm_backward import layer_norm_backward
from crossiqa_edge.kernels.pairs import exact_product, plus
from crossiqa_edge.kernels.rows import LAYER_NORM_EPSILON, as_rows, normalised_rows
from crossiqa_edge.kernels.shapes import check_shapes
from crossiqa_edge.kernels.spec import KernelSpec, Workload
from crossiqa_edge.kernels.targets import compile_options
from crossiqa_edge.kernels.tiles import row_tile


@triton.jit
def layer_norm_kernel(
    branch_pointer,
    residual_pointer,
    scale_pointer,
    weight_pointer,
    bias_pointer,
    normalised_pointer,
    stream_pointer,
    rows,
    branch_stride,
    residual_stride,
    WIDTH: tl.constexpr,
    EPSILON: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_WIDTH: tl.constexpr,
):
    """Forward. Launched on a 1D grid in which each program normalises BLOCK_ROWS rows.

    branch (rows, WIDTH) with stride ``branch_stride`` between rows; residual (rows, WIDTH) with
    ``residual_stride``, or None; scale (WIDTH,) or None; weight and bias (WIDTH,); normalised and stream
    (rows, WIDTH), contiguous, stream None without a residual. Any floating dtypes.
    """
    row = tl.program_id(0) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS).to(tl.int64)[:, None]
    column = tl.arange(0, BLOCK_WIDTH)
    present = column < WIDTH
    valid = (row < rows) & present[None, :]
    IN_PAIRS: tl.constexpr = normalised_pointer.dtype.element_ty == tl.float32
    stream = tl.load(branch_pointer + row * branch_stride + column, mask=valid, other=0.0).to(tl.float32)
    rest = tl.zeros((BLOCK_ROWS, BLOCK_WIDTH), tl.float32)
    if scale_pointer is not None:
        scale = tl.load(scale_pointer + column, mask=present, other=0.0).to(tl.float32)
        if IN_PAIRS:
            stream, rest = exact_product(stream, scale[None, :])
        else:
            stream *= scale
    if residual_pointer is not None:
        place = residual_pointer + row * residual_stride + column
        residual = tl.load(place, mask=valid, other=0.0).to(tl.float32)
        if IN_PAIRS:
            stream, rest = plus(stream, rest, residual, 0.0)
        else:
            stream += residual
        tl.store(stream_pointer + row * WIDTH + column, stream + rest, mask=valid)
    parameters = (weight_pointer, bias_pointer)
    normalised = normalised_rows(stream, rest, valid, *parameters, column, WIDTH, EPSILON, IN_PAIRS)
    tl.store(normalised_pointer + row * WIDTH + column, normalised, mask=valid)


def layer_norm_reference(
    branch: Tensor,
    weight: Tensor,
    bias: Tensor,
    epsilon: float,
    residual: Tensor | None = None,
    scale: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """(normalised, stream) by the formula above, in float32 (float64 where the inputs are).

    Contiguous, as the kernel's are, whatever the strides of ``branch``: torch.compile counts on it.
    """
    wide = torch.promote_types(branch.dtype, torch.float32)
    stream = branch.to(wide)
    if scale is not None:
        stream = stream * scale
    if residual is not None:
        stream = stream + residual
    centred = stream - stream.mean(-1, keepdim=True)
    deviation = (centred.square().mean(-1, keepdim=True) + epsilon).sqrt()
    normalised = centred / deviation * weight + bias
    stream = stream.to(branch.dtype if residual is None else residual.dtype)
    return normalised.to(branch.dtype).contiguous(), stream.contiguous()


def launch_layer_norm(
    branch: Tensor,
    weight: Tensor,
    bias: Tensor,
    epsilon: float,
    residual: Tensor | None = None,
    scale: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Run the forward kernel: (normalised, stream), contiguous; without a residual the stream is ``branch``.

    branch and residual (..., width), any strides; weight, bias and scale (width,). The normalised rows
    have the dtype of ``branch``, the stream that of ``residual``, which may be wider.
    """
    rows = as_rows(branch)
    count, width = rows.shape
    normalised = torch.empty(branch.shape, dtype=branch.dtype, device=branch.device)
    stream = residual_rows = None
    if residual is not None:
        residual_rows = as_rows(residual)
        stream = torch.empty(residual.shape, dtype=residual.dtype, device=residual.device)
    tile = row_tile(count, width)
    with current_device(branch.device):
        layer_norm_kernel[(-(-count // tile.rows),)](
            rows,
            residual_rows,
            None if scale is None else scale.contiguous(),
            weight.contiguous(),
            bias.contiguous(),
            normalised,
            stream,
            count,
            rows.stride(0),
            0 if residual_rows is None else residual_rows.stride(0),
            WIDTH=width,
            EPSILON=epsilon,
            BLOCK_ROWS=tile.rows,
            BLOCK_WIDTH=tile.width,
            **compile_options(architecture(branch.device), tile.warps),
        )
    return normalised, branch if stream is None else stream


@torch.library.custom_op("crossiqa::layer_norm", mutates_args=())
def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    """LayerNorm of x (..., width); weight and bias (width,). The reference on a CPU, the kernel on a GPU.

    Raises:
        ConfigError: shapes other than these.
    """
    check_shapes("layer_norm", weight=(weight, x.shape[-1:]), bias=(bias, x.shape[-1:]))
    run = launch_layer_norm if x.is_cuda else layer_norm_reference
    return run(x, weight, bias, epsilon)[0]


@torch.library.custom_op("crossiqa::add_layer_norm", mutates_args=())
def add_layer_norm(
    branch: Tensor,
    residual: Tensor,
    scale: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    """(LayerNorm(stream), stream) with stream = residual + scale * branch.

    branch and residual (..., width); scale (width,), or None for 1; weight and bias (width,). The reference
    on a CPU, the kernel on a GPU.

    Raises:
        ConfigError: shapes other than these.
    """
    width = branch.shape[-1:]
    check_shapes(
        "add_layer_norm",
        **{"residual": (residual, branch.shape), "scale": (scale, width)},
        **{"weight": (weight, width), "bias": (bias, width)},
    )
    run = launch_layer_norm if branch.is_cuda else layer_norm_reference
    return run(branch, weight, bias, epsilon, residual, scale)


@layer_norm.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    return x.new_empty(x.shape)


@add_layer_norm.register_fake
def _(
    branch: Tensor, residual: Tensor, scale: Tensor | None, weight: Tensor, bias: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    return branch.new_empty(branch.shape), residual.new_empty(residual.shape)


def _keep_for_layer_norm(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, _bias, ctx.epsilon = inputs
    ctx.save_for_backward(x, weight)


def _layer_norm_gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    return *layer_norm_backward(gradient, None, x, weight, ctx.epsilon, None, None), None


def _keep_for_add_layer_norm(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    branch, _residual, scale, weight, _bias, ctx.epsilon = inputs
    ctx.branch_dtype = branch.dtype
    ctx.save_for_backward(output[1], weight, None if scale is None else branch, scale)


def _add_layer_norm_gradients(
    ctx: Any, gradient: Tensor, stream_gradient: Tensor
) -> tuple[Tensor | None, ...]:
    stream, weight, branch, scale = ctx.saved_tensors
    residual_gradient, weight_gradient, bias_gradient, *scaled = layer_norm_backward(
        gradient, stream_gradient, stream, weight, ctx.epsilon, branch, scale
    )
    branch_gradient, scale_gradient = scaled or (residual_gradient.to(ctx.branch_dtype), None)
    return branch_gradient, residual_gradient, scale_gradient, weight_gradient, bias_gradient, None


layer_norm.register_autograd(_layer_norm_gradients, setup_context=_keep_for_layer_norm)
add_layer_norm.register_autograd(_add_layer_norm_gradients, setup_context=_keep_for_add_layer_norm)


def specs(workload: Workload) -> Iterator[KernelSpec]:
    """The two forms that an encoder uses: alone, and with the residual addition."""
    tile = row_tile(workload.rows, workload.width)
    pointer = f"*{workload.dtype}"
    operands = ("branch", "residual", "scale", "weight", "bias", "normalised", "stream")
    for name, absent in (
        ("layer_norm", {"residual", "scale", "stream"}),
        ("add_layer_norm", set() if workload.layer_scale else {"scale"}),
    ):
        signature = {f"{operand}_pointer": pointer for operand in operands if operand not in absent}
        yield KernelSpec(
            name=name,
            function=layer_norm_kernel,
            signature=signature | {"rows": "i32", "branch_stride": "i32", "residual_stride": "i32"},
            constants={f"{operand}_pointer": None for operand in operands if operand in absent}
            | {
                "WIDTH": workload.width,
                "EPSILON": LAYER_NORM_EPSILON,
                "BLOCK_ROWS": tile.rows,
                "BLOCK_WIDTH": tile.width,
            },
            grid=((("rows", tile.rows),),),
            sizes={
                "rows": workload.rows,
                "branch_stride": workload.width,
                "residual_stride": workload.width,
            },
            aligned=("branch_stride", "residual_stride"),
            warps=tile.warps,
        )
