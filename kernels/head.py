"""From the last block's tokens to a score, in one launch: pooling, LayerNorm, regression, calibration.

    pooled = class token, or mean of the others;    embedding = LayerNorm(pooled)
    raw = embedding . weight + bias;    score = 100 / (1 + exp(-(slope * raw + offset)))

The final LayerNorm works on one token per view instead of all of them, since a class token is normalised
by itself. One program per view: with the class token it reads one row of C elements, with the mean N of
them, for about 10 C or C N FLOPs; the cost is that of a launch. All of it is float32, the embedding in pairs
of it (``pairs.py``), so that scores that lie close together keep their order.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.kernels.device import architecture, current_device
from crossiqa_edge.kernels.pairs import pair_sum, plus, quotient
from crossiqa_edge.kernels.rows import LAYER_NORM_EPSILON, normalised_rows
from crossiqa_edge.kernels.shapes import check_shapes
from crossiqa_edge.kernels.spec import KernelSpec, Workload
from crossiqa_edge.kernels.targets import compile_options
from crossiqa_edge.kernels.tiles import row_tile

POOLINGS = ("token", "mean")
TOKENS_AT_ONCE = 16  # that a program sums in one step


@triton.jit
def head_kernel(
    tokens_pointer,
    norm_weight_pointer,
    norm_bias_pointer,
    weight_pointer,
    bias_pointer,
    calibration_pointer,
    embedding_pointer,
    raw_pointer,
    score_pointer,
    tokens,
    view_stride,
    token_stride,
    WIDTH: tl.constexpr,
    EPSILON: tl.constexpr,
    MEAN: tl.constexpr,
    BLOCK_TOKENS: tl.constexpr,
    BLOCK_WIDTH: tl.constexpr,
):
    """One view. Launched on a 1D grid of views.

    tokens (views, ``tokens``, WIDTH), strides between views and between tokens; norm_weight, norm_bias and
    weight (WIDTH,); bias (1,); calibration (2,): slope and offset; all of any floating dtype. embedding
    (views, WIDTH), raw (views,) and score (views,), float32. MEAN pools tokens 1 and up, else token 0 is it.
    """
    columns = tl.arange(0, BLOCK_WIDTH)
    column = columns[None, :]
    present = column < WIDTH
    view = tl.program_id(0).to(tl.int64)
    first = tokens_pointer + view * view_stride + column
    rest = tl.zeros((1, BLOCK_WIDTH), tl.float32)
    if MEAN:
        pooled = tl.zeros((1, BLOCK_WIDTH), tl.float32)
        for start in range(1, tokens, BLOCK_TOKENS):
            token = start + tl.arange(0, BLOCK_TOKENS)[:, None]
            valid = (token < tokens) & present
            part = tl.load(first + token * token_stride, mask=valid, other=0.0).to(tl.float32)
            part, part_rest = pair_sum(part, 0.0, 0)
            pooled, rest = plus(pooled, rest, part[None, :], part_rest[None, :])
        count = tl.zeros((1, 1), tl.float32) + (tokens - 1)
        pooled, rest = quotient(pooled, rest, count, 0.0)
    else:
        pooled = tl.load(first, mask=present, other=0.0).to(tl.float32)
    norm = (norm_weight_pointer, norm_bias_pointer)
    embedding = normalised_rows(pooled, rest, present, *norm, columns, WIDTH, EPSILON, True)
    tl.store(embedding_pointer + view * WIDTH + column, embedding, mask=present)
    weight = tl.load(weight_pointer + column, mask=present, other=0.0).to(tl.float32)
    raw = tl.sum(tl.sum(embedding * weight, axis=1), axis=0) + tl.load(bias_pointer).to(tl.float32)
    slope = tl.load(calibration_pointer).to(tl.float32)
    offset = tl.load(calibration_pointer + 1).to(tl.float32)
    tl.store(raw_pointer + view, raw)
    tl.store(score_pointer + view, 100.0 / (1.0 + tl.exp(-(slope * raw + offset))))


def head_reference(
    tokens: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    weight: Tensor,
    bias: Tensor,
    calibration: Tensor,
    epsilon: float,
    pooling: str = "token",
) -> tuple[Tensor, Tensor, Tensor]:
    """(embedding, raw, score) by the formula above, in float32 (float64 where the tokens are)."""
    wide = torch.promote_types(tokens.dtype, torch.float32)
    pooled = tokens[:, 0].to(wide) if pooling == "token" else tokens[:, 1:].to(wide).mean(1)
    centred = pooled - pooled.mean(-1, keepdim=True)
    deviation = (centred.square().mean(-1, keepdim=True) + epsilon).sqrt()
    embedding = (centred / deviation * norm_weight.to(wide) + norm_bias.to(wide)).contiguous()
    raw = (embedding * weight.to(wide).flatten()).sum(-1) + bias.to(wide)
    slope, offset = calibration.to(wide)
    return embedding, raw, 100.0 * torch.sigmoid(slope * raw + offset)


def launch_head(
    tokens: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    weight: Tensor,
    bias: Tensor,
    calibration: Tensor,
    epsilon: float,
    pooling: str = "token",
) -> tuple[Tensor, Tensor, Tensor]:
    """Run the kernel; arguments and result as of ``head``."""
    tokens = tokens if tokens.stride(2) == 1 else tokens.contiguous()
    views, count, width = tokens.shape
    embedding, raw, score = (
        torch.empty(shape, dtype=torch.float32, device=tokens.device)
        for shape in ((views, width), views, views)
    )
    tile = row_tile(views, width)
    with current_device(tokens.device):
        head_kernel[(views,)](
            tokens,
            norm_weight.contiguous(),
            norm_bias.contiguous(),
            weight.contiguous(),
            bias,
            calibration.contiguous(),
            embedding,
            raw,
            score,
            count,
            tokens.stride(0),
            tokens.stride(1),
            WIDTH=width,
            EPSILON=epsilon,
            MEAN=pooling == "mean",
            BLOCK_TOKENS=TOKENS_AT_ONCE,
            BLOCK_WIDTH=tile.width,
            **compile_options(architecture(tokens.device), tile.warps),
        )
    return embedding, raw, score


@torch.library.custom_op("crossiqa::head", mutates_args=())
def head(
    tokens: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    weight: Tensor,
    bias: Tensor,
    calibration: Tensor,
    epsilon: float,
    pooling: str = "token",
) -> tuple[Tensor, Tensor, Tensor]:
    """(quality embedding (B, width), raw (B,), score (B,) of 0..100), float32; the reference on a CPU.

    Args:
        tokens: (B, N, width) of the last block, before the final LayerNorm; any strides.
        norm_weight, norm_bias, epsilon: of the final LayerNorm.
        weight, bias: of the linear regression, (width,) or (1, width), and (1,).
        calibration: (2,), slope and offset.
        pooling: ``token``: the class token, at 0; ``mean``: of all tokens but that, normalised after pooling.

    Raises:
        ConfigError: unknown ``pooling``, a mean of no tokens, or other shapes.
    """
    if pooling not in POOLINGS:
        raise ConfigError(f"unknown pooling {pooling!r}; choose from {', '.join(POOLINGS)}")
    if pooling == "mean" and tokens.shape[1] < 2:
        raise ConfigError("there are no tokens to pool beside the class token; give at least one patch")
    width = tokens.shape[-1]
    check_shapes(
        "head",
        **{"norm_weight": (norm_weight, (width,)), "norm_bias": (norm_bias, (width,))},
        **{"weight": (weight.flatten(), (width,)), "bias": (bias, (1,)), "calibration": (calibration, (2,))},
    )
    run = launch_head if tokens.is_cuda else head_reference
    return run(tokens, norm_weight, norm_bias, weight, bias, calibration, epsilon, pooling)


@head.register_fake
def _(
    tokens: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    weight: Tensor,
    bias: Tensor,
    calibration: Tensor,
    epsilon: float,
    pooling: str = "token",
) -> tuple[Tensor, Tensor, Tensor]:
    views, _, width = tokens.shape
    wide = torch.promote_types(tokens.dtype, torch.float32)
    raw, score = (tokens.new_empty(views, dtype=wide) for _ in range(2))
    return tokens.new_empty((views, width), dtype=wide), raw, score


def specs(workload: Workload) -> Iterator[KernelSpec]:
    """With the class token, as the family pools; the parameters stay in float32."""
    tile = row_tile(workload.batch, workload.width)
    types = {"tokens": f"*{workload.dtype}"}
    parameters = ("norm_weight", "norm_bias", "weight", "bias", "calibration", "embedding", "raw", "score")
    types |= dict.fromkeys(parameters, "*fp32")
    numbers = {
        "tokens": workload.tokens,
        "view_stride": workload.tokens * workload.width,
        "token_stride": workload.width,
    }
    yield KernelSpec(
        name="head",
        function=head_kernel,
        signature={f"{operand}_pointer": kind for operand, kind in types.items()}
        | dict.fromkeys(numbers, "i32"),
        constants={
            "WIDTH": workload.width,
            "EPSILON": LAYER_NORM_EPSILON,
            "MEAN": False,
            "BLOCK_TOKENS": TOKENS_AT_ONCE,
            "BLOCK_WIDTH": tile.width,
        },
        grid=((("views", 1),),),
        sizes=numbers | {"views": workload.batch},
        aligned=("view_stride", "token_stride"),
        warps=tile.warps,
    )
