"""The backward pass of LayerNorm, residual addition and LayerScale; ``layer_norm.py`` has the forward.

Limited by memory like the forward: per row of C elements 3 C to 6 C of them are moved. The gradients of
the parameters are sums over all rows. Each program sums its own rows and writes one partial sum; torch
adds these up in float64. There are no atomic additions, so a gradient is the same from run to run.

All is computed in pairs of float32 (``pairs.py``) and rounded once, where it is written. In plain float32 the
roundings on the way add up to more than twice torch's error where torch's happen to cancel: in one of 60
random shapes. A correctly rounded result is never further from the truth than torch's.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from crossiqa_edge.kernels.device import architecture, current_device
from crossiqa_edge.kernels.pairs import exact_product, plus, row_mean, times, unit_rows
from crossiqa_edge.kernels.rows import LAYER_NORM_EPSILON
from crossiqa_edge.kernels.spec import KernelSpec, Workload
from crossiqa_edge.kernels.targets import compile_options
from crossiqa_edge.kernels.tiles import row_tile

PROGRAMS = 256  # at most, whatever the GPU: so that sums are added in the same order everywhere


@triton.jit
def _row_gradients(gradient, rest, unit, unit_rest, root, root_rest, WIDTH: tl.constexpr):
    """(g - mean(g) - x * mean(g * x)) * root for the pairs g (rows, columns), x likewise and root (rows,)."""
    mean, mean_rest = row_mean(gradient, rest, WIDTH)
    product, product_rest = times(gradient, rest, unit, unit_rest)
    along, along_rest = row_mean(product, product_rest, WIDTH)
    part, part_rest = times(unit, unit_rest, along[:, None], along_rest[:, None])
    gradient, rest = plus(gradient, rest, -mean[:, None], -mean_rest[:, None])
    gradient, rest = plus(gradient, rest, -part, -part_rest)
    return times(gradient, rest, root[:, None], root_rest[:, None])


@triton.jit
def _store_sums(pointer, sums, rests, column, present, WIDTH: tl.constexpr):
    """Add up the rows of a pair (rows, columns), and write both parts (2, WIDTH)."""
    tl.store(pointer + column, tl.sum(sums, axis=0), mask=present)
    tl.store(pointer + WIDTH + column, tl.sum(rests, axis=0), mask=present)


@triton.jit
def layer_norm_backward_kernel(
    gradient_pointer,
    stream_gradient_pointer,
    stream_pointer,
    branch_pointer,
    scale_pointer,
    weight_pointer,
    residual_gradient_pointer,
    branch_gradient_pointer,
    partial_pointer,
    rows,
    WIDTH: tl.constexpr,
    EPSILON: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_WIDTH: tl.constexpr,
):
    """Backward, all tensors contiguous. Launched on a 1D grid whose programs share out the rows.

    gradient (rows, WIDTH) of the normalised output; stream_gradient likewise of the stream, or None;
    stream (rows, WIDTH) that was normalised; branch (rows, WIDTH), scale (WIDTH,) and branch_gradient
    (rows, WIDTH), or None without LayerScale; weight (WIDTH,); residual_gradient (rows, WIDTH);
    partial (programs, 3, 2, WIDTH) float32: each program's sums for weight, bias and scale, as pairs.

    With x = (stream - mean) * root and g = gradient * weight, the gradient of a row is
    (g - mean(g) - x * mean(g * x)) * root.
    """
    column = tl.arange(0, BLOCK_WIDTH)
    present = column < WIDTH
    weight = tl.load(weight_pointer + column, mask=present, other=0.0).to(tl.float32)
    nothing = tl.zeros((BLOCK_ROWS, BLOCK_WIDTH), tl.float32)
    weight_sum, bias_sum, scale_sum = nothing, nothing, nothing
    weight_rest, bias_rest, scale_rest = nothing, nothing, nothing
    for first in range(tl.program_id(0) * BLOCK_ROWS, rows, tl.num_programs(0) * BLOCK_ROWS):
        row = first + tl.arange(0, BLOCK_ROWS).to(tl.int64)[:, None]
        valid = (row < rows) & present[None, :]
        place = row * WIDTH + column
        stream = tl.load(stream_pointer + place, mask=valid, other=0.0).to(tl.float32)
        unit, unit_rest, root, root_rest = unit_rows(stream, 0.0, valid, WIDTH, EPSILON)
        gradient = tl.load(gradient_pointer + place, mask=valid, other=0.0).to(tl.float32)
        product, rest = times(gradient, 0.0, unit, unit_rest)
        weight_sum, weight_rest = plus(weight_sum, weight_rest, product, rest)
        bias_sum, bias_rest = plus(bias_sum, bias_rest, gradient, 0.0)
        gradient, rest = exact_product(gradient, weight[None, :])
        gradient, rest = _row_gradients(gradient, rest, unit, unit_rest, root, root_rest, WIDTH)
        if stream_gradient_pointer is not None:
            direct = tl.load(stream_gradient_pointer + place, mask=valid, other=0.0).to(tl.float32)
            gradient, rest = plus(gradient, rest, direct, 0.0)
        tl.store(residual_gradient_pointer + place, gradient + rest, mask=valid)
        if scale_pointer is not None:
            scale = tl.load(scale_pointer + column, mask=present, other=0.0).to(tl.float32)
            product, product_rest = times(gradient, rest, scale[None, :], 0.0)
            tl.store(branch_gradient_pointer + place, product + product_rest, mask=valid)
            branch = tl.load(branch_pointer + place, mask=valid, other=0.0).to(tl.float32)
            product, rest = times(gradient, rest, branch, 0.0)
            scale_sum, scale_rest = plus(scale_sum, scale_rest, product, rest)
    partial = partial_pointer + tl.program_id(0) * 6 * WIDTH
    _store_sums(partial, weight_sum, weight_rest, column, present, WIDTH)
    _store_sums(partial + 2 * WIDTH, bias_sum, bias_rest, column, present, WIDTH)
    _store_sums(partial + 4 * WIDTH, scale_sum, scale_rest, column, present, WIDTH)


def layer_norm_backward_reference(
    gradient: Tensor,
    stream_gradient: Tensor | None,
    stream: Tensor,
    weight: Tensor,
    epsilon: float,
    branch: Tensor | None = None,
    scale: Tensor | None = None,
) -> list[Tensor]:
    """Gradients as ``launch_layer_norm_backward`` returns them, in float32 (float64 where the inputs are).

    Contiguous, as the kernel's are.
    """
    wide = torch.promote_types(stream.dtype, torch.float32)
    rows = tuple(range(stream.ndim - 1))
    centred = stream.to(wide) - stream.to(wide).mean(-1, keepdim=True)
    reciprocal = (centred.square().mean(-1, keepdim=True) + epsilon).rsqrt()
    unit = centred * reciprocal
    gradient = gradient.to(wide)
    sums = [(gradient * unit).sum(rows).to(weight.dtype), gradient.sum(rows).to(weight.dtype)]
    gradient = gradient * weight
    along = (gradient * unit).mean(-1, keepdim=True)
    gradient = (gradient - gradient.mean(-1, keepdim=True) - unit * along) * reciprocal
    if stream_gradient is not None:
        gradient = gradient + stream_gradient
    gradients = [gradient.to(stream.dtype), *sums]
    if branch is not None and scale is not None:
        gradients += [(gradient * scale).to(branch.dtype), (gradient * branch).sum(rows).to(scale.dtype)]
    return [each.contiguous() for each in gradients]


def launch_layer_norm_backward(
    gradient: Tensor,
    stream_gradient: Tensor | None,
    stream: Tensor,
    weight: Tensor,
    epsilon: float,
    branch: Tensor | None = None,
    scale: Tensor | None = None,
) -> list[Tensor]:
    """Run the backward kernel: gradients of residual, weight, bias, and with LayerScale of branch and scale.

    gradient, stream_gradient, stream and branch (..., width); weight and scale (width,). Without
    LayerScale the gradient of the branch equals that of the residual.
    """
    width = stream.shape[-1]
    count = stream.numel() // width
    stream = stream.contiguous()
    residual_gradient = torch.empty_like(stream)
    if scale is None:
        branch = branch_gradient = None
    else:
        assert branch is not None
        branch = branch.contiguous()
        branch_gradient = torch.empty_like(branch)
    tile = row_tile(count, width)
    programs = min(PROGRAMS, -(-count // tile.rows))
    partial = torch.empty((programs, 3, 2, width), dtype=torch.float32, device=stream.device)
    with current_device(stream.device):
        layer_norm_backward_kernel[(programs,)](
            gradient.contiguous(),
            None if stream_gradient is None else stream_gradient.contiguous(),
            stream,
            branch,
            None if scale is None else scale.contiguous(),
            weight.contiguous(),
            residual_gradient,
            branch_gradient,
            partial,
            count,
            WIDTH=width,
            EPSILON=epsilon,
            BLOCK_ROWS=tile.rows,
            BLOCK_WIDTH=tile.width,
            **compile_options(architecture(stream.device), tile.warps),
        )
    # One tensor each: an operator's results must not share memory.
    weight_gradient, bias_gradient, scale_gradient = (
        sums.clone() for sums in partial.sum((0, 2), dtype=torch.float64)
    )
    gradients = [residual_gradient, weight_gradient.to(weight.dtype), bias_gradient.to(weight.dtype)]
    if scale is not None and branch_gradient is not None:
        gradients += [branch_gradient, scale_gradient.to(scale.dtype)]
    return gradients


@torch.library.custom_op("crossiqa::layer_norm_backward", mutates_args=())
def layer_norm_backward(
    gradient: Tensor,
    stream_gradient: Tensor | None,
    stream: Tensor,
    weight: Tensor,
    epsilon: float,
    branch: Tensor | None,
    scale: Tensor | None,
) -> list[Tensor]:
    """Gradients of residual, weight and bias, then with LayerScale of branch and scale.

    gradient, stream_gradient, stream and branch (..., width); weight and scale (width,). The reference on
    a CPU, the kernel on a GPU.
    """
    run = launch_layer_norm_backward if stream.is_cuda else layer_norm_backward_reference
    return run(gradient, stream_gradient, stream, weight, epsilon, branch, scale)


@layer_norm_backward.register_fake
def _(
    gradient: Tensor,
    stream_gradient: Tensor | None,
    stream: Tensor,
    weight: Tensor,
    epsilon: float,
    branch: Tensor | None,
    scale: Tensor | None,
) -> list[Tensor]:
    gradients = [
        stream.new_empty(stream.shape),
        weight.new_empty(weight.shape),
        weight.new_empty(weight.shape),
    ]
    if branch is not None and scale is not None:
        gradients += [branch.new_empty(branch.shape), scale.new_empty(scale.shape)]
    return gradients


def specs(workload: Workload) -> Iterator[KernelSpec]:
    """As an accelerated encoder's training launches it: without residual addition and LayerScale.

    A grid of fewer programs is as right: each takes further rows.
    """
    tile = row_tile(workload.rows, workload.width)
    pointer = f"*{workload.dtype}"
    scaled = {"branch", "scale", "branch_gradient"}
    present = ("gradient", "stream", "weight", "residual_gradient")
    yield KernelSpec(
        name="layer_norm.gradient",
        function=layer_norm_backward_kernel,
        signature={f"{operand}_pointer": pointer for operand in present}
        | {"partial_pointer": "*fp32", "rows": "i32"},
        constants={f"{operand}_pointer": None for operand in ("stream_gradient", *scaled)}
        | {
            "WIDTH": workload.width,
            "EPSILON": LAYER_NORM_EPSILON,
            "BLOCK_ROWS": tile.rows,
            "BLOCK_WIDTH": tile.width,
        },
        grid=((("rows", tile.rows),),),
        sizes={"rows": workload.rows},
        warps=tile.warps,
    )
