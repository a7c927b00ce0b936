"""From a uint8 picture in GPU memory to the encoder's tokens, in one launch and without a float image.

    pixels = picture at the tiles (NV12 becomes RGB here), (pixels - mean) / std
    token = patch embedding of a patch's pixels + position;    the class token comes first

The patch embedding is the one of ``crossiqa_edge.model.embedding`` in three levels, or timm's plain linear
one. Whatever the size of the picture, only the S x S pixels of a view are read: 150 KB of RGB at S = 224,
75 KB of NV12. The plain embedding needs 1,536 FLOPs per patch and column. The family's levels need 311
kFLOPs per patch for the first two and 2,048 per column for the last, 0.14 GFLOPs for a view at width 192:
a few microseconds of one GPU's tensor cores, so that the latency of a program's chain of gathers and small
products is what limits it, and blocks are chosen small. Inference only: pixels have no gradient, and
training degrades its pictures on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt, prod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.kernels.device import DTYPES, architecture, current_device, dot_precision
from crossiqa_edge.kernels.embed_kernels import embed_levels_kernel, embed_linear_kernel
from crossiqa_edge.kernels.pixels import sampled_pixels
from crossiqa_edge.kernels.shapes import check_shapes
from crossiqa_edge.kernels.spec import KernelSpec, Workload
from crossiqa_edge.kernels.targets import compile_options
from crossiqa_edge.kernels.tiles import EmbedTile, embed_tile


class Operands(NamedTuple):
    """What ``embed`` is given, and the geometry that follows from it."""

    picture: Tensor
    chroma: Tensor | None
    factors: Tensor | None
    corners: Tensor
    tile: int
    normaliser: Tensor
    weights: list[Tensor]
    biases: list[Tensor]
    class_token: Tensor | None
    position: Tensor

    @property
    def widths(self) -> list[int]:
        """Values of each thing that a level joins: 3 of a pixel, then the outputs of the level before."""
        return [3, *(len(weight) for weight in self.weights[:-1])]

    @property
    def joined(self) -> tuple[int, ...]:
        """Pixels or groups a side that each level joins, innermost first."""
        return tuple(
            isqrt(weight.shape[1] // width) for weight, width in zip(self.weights, self.widths, strict=True)
        )

    @property
    def patch(self) -> int:
        """Side of a patch in pixels."""
        return prod(self.joined)

    @property
    def across(self) -> int:
        """Patches in a row of a view."""
        return self.tile * self.corners.shape[1] // self.patch


def check(operands: Operands) -> None:
    """Raise ConfigError unless the shapes belong together and the kernel takes them."""
    joined, widths = operands.joined, operands.widths
    if len(joined) not in (1, 3) or len(operands.biases) != len(joined):
        raise ConfigError(f"the embed kernel takes one level or three, not {len(joined)}")
    inputs = [join * join * width for join, width in zip(joined, widths, strict=True)]
    if inputs != [weight.shape[1] for weight in operands.weights]:
        raise ConfigError("the levels of this patch embedding do not join squares; use the plain encoder")
    if len(joined) == 3 and (
        inputs[0] > 16 or any(width < 16 or width & (width - 1) for width in widths[1:])
    ):
        raise ConfigError(
            "the embed kernel's inner levels join 2 x 2 pixels and have a power of two, at least 16, of "
            f"outputs, not {joined[0]} x {joined[0]} and {widths[1:]}; use the plain encoder"
        )
    expected = operands.across**2 + (operands.class_token is not None)
    if operands.tile % operands.patch or len(operands.position) != expected:
        raise ConfigError(
            f"{len(operands.position)} positions do not fit {operands.across} x {operands.across} patches of "
            f"{operands.patch} pixels in tiles of {operands.tile}"
        )
    planes = operands.chroma is not None
    if planes != (operands.factors is not None) or operands.picture.ndim != (3 if planes else 4):
        raise ConfigError(
            "give an RGB picture (B, H, W, 3), or luma (B, H, W) with chroma and colour factors"
        )
    batch, height, width = operands.picture.shape[:3]
    if min(height, width) < 2:
        raise ConfigError(f"{width} x {height} pixels have nothing to reflect; give at least 2 x 2")
    tiles, columns = operands.corners.shape[1], len(operands.weights[-1])
    check_shapes(
        "embed",
        corners=(operands.corners, (batch, tiles, tiles, 2)),
        chroma=(operands.chroma, (batch, -(-height // 2), -(-width // 2), 2)),
        class_token=(operands.class_token, (columns,)),
        position=(operands.position, (expected, columns)),
        **{f"bias {n}": (bias, (len(operands.weights[n]),)) for n, bias in enumerate(operands.biases)},
    )


@torch.library.custom_op("crossiqa::embed", mutates_args=())
def embed(
    picture: Tensor,
    chroma: Tensor | None,
    factors: Tensor | None,
    corners: Tensor,
    tile: int,
    normaliser: Tensor,
    weights: list[Tensor],
    biases: list[Tensor],
    class_token: Tensor | None,
    position: Tensor,
) -> Tensor:
    """Tokens (B, P + 1, width), or without class token (B, P, width); the reference on a CPU.

    Args:
        picture: uint8 (B, H, W, 3) RGB, or luma (B, H, W); rows may be padded. ``expand`` gives several views
            the same picture at no cost.
        chroma: uint8 (B, ceil(H / 2), ceil(W / 2), 2), Cb and Cr interleaved, for NV12; None for RGB.
        factors: ``pixels.colour_factors`` for NV12; None for RGB.
        corners: int32 (B, T, T, 2), top and left of each tile, from ``pixels.fragment_corners`` or
            ``crop_corners``; a view has S = T * tile pixels a side.
        tile: side of a tile, a multiple of the patch.
        normaliser: float32 (2, 3), from ``pixels.normaliser``.
        weights, biases: three levels, innermost first, as in ``MultiLevelPatchEmbed.levels``; or the one of
            timm's plain embedding, its convolution's weight flattened to (width, 3 * patch * patch).
        class_token: (width,) or None.
        position: (P + 1, width), or without class token (P, width).

    Raises:
        ConfigError: shapes that do not belong together, or that the kernel does not take.
    """
    operands = Operands(
        picture, chroma, factors, corners, tile, normaliser, weights, biases, class_token, position
    )
    check(operands)
    return launch_embed(operands) if picture.is_cuda else embed_reference(operands)


@embed.register_fake
def _(
    picture: Tensor,
    chroma: Tensor | None,
    factors: Tensor | None,
    corners: Tensor,
    tile: int,
    normaliser: Tensor,
    weights: list[Tensor],
    biases: list[Tensor],
    class_token: Tensor | None,
    position: Tensor,
) -> Tensor:
    return position.new_empty((picture.shape[0], *position.shape), dtype=weights[0].dtype)


def embed_reference(operands: Operands) -> Tensor:
    """``embed`` in float32 (float64 where the weights are), rounded once, at the end."""
    *inner, (weight, bias) = zip(operands.weights, operands.biases, strict=True)
    wide = torch.promote_types(weight.dtype, torch.float32)
    gain, offset = operands.normaliser.to(wide)
    groups = _by_level(sampled_pixels(*operands[:5]) * gain + offset, operands.joined)
    for inner_weight, inner_bias in inner:
        groups = functional.gelu(groups @ inner_weight.to(wide).T + inner_bias).flatten(-2)
    tokens = groups @ weight.to(wide).T + bias
    if operands.class_token is not None:
        tokens = torch.cat([operands.class_token.to(wide).expand(len(tokens), 1, -1), tokens], dim=1)
    return (tokens + operands.position).to(weight.dtype)


def _by_level(pixels: Tensor, joined: tuple[int, ...]) -> Tensor:
    """(B, S, S, 3) -> (B, P, outer groups, middle groups, inner pixels * 3), or (B, P, 3 * patch * patch)."""
    patch = prod(joined)
    batch, side = pixels.shape[:2]
    across = side // patch
    patches = pixels.view(batch, across, patch, across, patch, 3).transpose(2, 3).flatten(1, 2)
    if len(joined) == 1:
        return patches.permute(0, 1, 4, 2, 3).flatten(2)
    inner, middle, outer = joined
    split = patches.reshape(batch, -1, outer, middle, inner, outer, middle, inner, 3)
    return split.permute(0, 1, 2, 5, 3, 6, 4, 7, 8).flatten(6, 8).flatten(4, 5).flatten(2, 3)


def launch_embed(operands: Operands) -> Tensor:
    """Run the kernel; arguments and result as of ``embed``."""
    weights, position, class_token = operands.weights, operands.position, operands.class_token
    picture = _with_adjacent_columns(operands.picture, 3 if operands.chroma is None else 1)
    chroma = None if operands.chroma is None else _with_adjacent_columns(operands.chroma, 2)
    batch, height, width = picture.shape[:3]
    patches, columns = batch * operands.across**2, len(weights[-1])
    gpu = architecture(picture.device)
    block = embed_tile(gpu, patches, columns, DTYPES[weights[0].dtype])
    tokens = torch.empty((batch, *position.shape), dtype=weights[0].dtype, device=picture.device)
    kernel = embed_linear_kernel if len(weights) == 1 else embed_levels_kernel
    with current_device(picture.device):
        kernel[(-(-patches // block.patches) * -(-columns // block.columns),)](
            picture,
            chroma,
            operands.factors,
            operands.corners.contiguous(),
            operands.normaliser,
            *(part.contiguous() for level in zip(weights, operands.biases, strict=True) for part in level),
            None if class_token is None else class_token.contiguous(),
            position.contiguous(),
            tokens,
            patches,
            height,
            width,
            *picture.stride()[:2],
            *((0, 0) if chroma is None else chroma.stride()[:2]),
            operands.tile,
            operands.corners.shape[1],
            **_constants(operands.joined, [len(weight) for weight in weights], operands.across, block),
            REFLECT=min(height, width) < operands.tile,
            PRECISION=dot_precision(weights[0].dtype),
            **compile_options(gpu, block.warps, block.stages),
        )
    return tokens


def _with_adjacent_columns(picture: Tensor, channels: int) -> Tensor:
    adjacent = (channels, 1) if channels > 1 else (1,)
    return picture if picture.stride()[2:] == adjacent else picture.contiguous()


def _constants(joined: tuple[int, ...], columns: list[int], across: int, block: EmbedTile) -> dict[str, int]:
    constants = {
        "COLUMNS": columns[-1],
        "ACROSS": across,
        "BLOCK_PATCHES": block.patches,
        "BLOCK_COLUMNS": block.columns,
    }
    if len(joined) == 1:
        return constants | {"PATCH": joined[0], "BLOCK_DEPTH": block.depth}
    inner, middle, outer = joined
    return constants | {
        "INNER": inner,
        "MIDDLE": middle,
        "OUTER": outer,
        "INNER_COLUMNS": columns[0],
        "MIDDLE_COLUMNS": columns[1],
        "BLOCK_GROUPS": min(block.groups, outer * outer),
    }


def specs(workload: Workload) -> Iterator[KernelSpec]:
    """From RGB and from NV12, for pictures no smaller than a tile."""
    yield _spec(workload, "embed.rgb", {"chroma", "factors"})
    yield _spec(workload, "embed.nv12", set())


def _spec(workload: Workload, name: str, absent: set[str]) -> KernelSpec:
    patches = workload.batch * (workload.tokens - 1)
    block = embed_tile(workload.architecture, patches, workload.width, workload.dtype)
    columns = [*(width for _, width in workload.levels), workload.width]
    merged = [merge for merge, _ in workload.levels]
    joined = (*merged, workload.patch // prod(merged))
    pointer = f"*{workload.dtype}"
    types = {"picture": "*u8", "chroma": "*u8", "factors": "*i32", "corners": "*i32", "normaliser": "*fp32"}
    levels = ["inner_weight", "inner_bias", "middle_weight", "middle_bias"] if workload.levels else []
    types |= dict.fromkeys([*levels, "weight", "bias", "class", "position", "output"], pointer)
    numbers = {  # of 1080p, fragments
        "patches": patches,
        "height": 1080,
        "width": 1920,
        "picture_view_stride": 1080 * 1920 * (3 if "chroma" in absent else 1),
        "picture_stride": 1920 * (3 if "chroma" in absent else 1),
        "chroma_view_stride": 0 if "chroma" in absent else 540 * 1920,
        "chroma_stride": 0 if "chroma" in absent else 1920,
        "tile": 32,
        "tiles": 7,
    }
    return KernelSpec(
        name=name,
        function=embed_levels_kernel if workload.levels else embed_linear_kernel,
        signature={f"{operand}_pointer": kind for operand, kind in types.items() if operand not in absent}
        | dict.fromkeys(numbers, "i32"),
        constants={f"{operand}_pointer": None for operand in absent}
        | _constants(joined, columns, isqrt(workload.tokens - 1), block)
        | {"REFLECT": False, "PRECISION": "ieee"},
        grid=((("patches", block.patches), ("columns", block.columns)),),
        sizes=numbers | {"columns": workload.width},
        warps=block.warps,
        stages=block.stages,
        matrix=workload.dtype != "fp32",
    )
