"""The same network, written so that its graph costs a runtime less.

Two habits of the network as it is trained are dear at batch 1, where every pass over memory counts:

- Pixels are made float, centred and divided before they are ordered into patches. Here bytes are ordered,
  in runs as long as there are, and the constants move into the first linear map.
- The exporter's spelling of GELU, ``x * (0.5 * (1 + erf))``, is not one that onnxruntime knows. The spelling
  below becomes one operator in onnxruntime, and the bias of the linear map before it goes along.

Nothing here is special to a runtime: the graph stays plain ONNX of the same opset.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossiqa_edge.model.embedding import MultiLevelPatchEmbed
from crossiqa_edge.model.quality import Normalise, QualityModel


class ByteLinear(nn.Linear):
    """A linear map of bytes."""

    def forward(self, pixels: Tensor) -> Tensor:
        return F.linear(pixels.float(), self.weight, self.bias)


class ByteEmbed(nn.Module):
    """``embed``, its first level a ``ByteLinear``, on uint8 (B, H, W, 3) as it comes.

    Rows of a patch, then rows of a group of pixels, move as wholes: runs of 3 * P and of 3 * m bytes. In two
    steps, because TensorRT takes at most eight axes.
    """

    def __init__(self, embed: MultiLevelPatchEmbed) -> None:
        super().__init__()
        self.embed = embed

    def forward(self, views: Tensor) -> Tensor:
        embed, side = self.embed, self.embed.patch_size[0]
        rows, columns = embed.grid_size
        *outer, inner = embed.merges
        x = views.reshape(-1, rows, side, columns, 3 * side).permute(0, 1, 3, 2, 4)
        x = x.reshape(-1, *outer, inner, *outer, 3 * inner)
        depth = len(embed.merges)
        x = x.permute(0, *(axis for level in range(1, depth + 1) for axis in (level, level + depth)))
        return embed.from_groups(x.reshape(-1, rows, columns, (side // inner) ** 2, 3 * inner**2))


class ByteConv(nn.Conv2d):
    """A convolution of bytes, (B, 3, H, W)."""

    def forward(self, pixels: Tensor) -> Tensor:
        return self._conv_forward(pixels.float(), self.weight, self.bias)


class ChannelsFirst(nn.Module):
    """(B, H, W, 3) -> (B, 3, H, W), in bytes."""

    def forward(self, views: Tensor) -> Tensor:
        return views.permute(0, 3, 1, 2)


class FusibleGELU(nn.Module):
    """The exact GELU, its operations in the order that optimisers look for."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (torch.erf(x / math.sqrt(2.0)) + 1.0) * 0.5


def make_fusible(model: QualityModel) -> None:
    """Rewrite ``model`` in place; its scores stay what they were, but for float32 rounding.

    Afterwards its state dict is that of no checkpoint: hand over a copy.
    """
    normalise, embed = model.normalise, model.encoder.patch_embed
    if isinstance(embed, MultiLevelPatchEmbed):
        embed.levels[0] = _linear_of_bytes(embed.levels[0], normalise)
        model.encoder.patch_embed = ByteEmbed(embed)
        entrance: nn.Module = nn.Identity()
    else:
        embed.proj = _convolution_of_bytes(embed.proj, normalise)
        entrance = ChannelsFirst()
    model.add_module("normalise", entrance)
    for module in list(model.encoder.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.GELU) and child.approximate == "none":
                module.add_module(name, FusibleGELU())


@torch.no_grad()
def _linear_of_bytes(linear: nn.Module, normalise: Normalise) -> ByteLinear:
    """Its input is rows of pixels, each red, green, blue."""
    assert isinstance(linear, nn.Linear)
    made = ByteLinear(linear.in_features, linear.out_features)
    weight, bias = _folded(linear.weight.unflatten(1, (-1, 3)), linear.bias, normalise)
    made.weight.copy_(weight.flatten(1))
    made.bias.copy_(bias)
    return made


@torch.no_grad()
def _convolution_of_bytes(convolution: nn.Conv2d, normalise: Normalise) -> ByteConv:
    """A patch embedding: stride and kernel are the patch, and nothing is padded."""
    side = convolution.kernel_size[0]
    made = ByteConv(3, convolution.out_channels, side, side)
    weight, bias = _folded(convolution.weight.movedim(1, -1), convolution.bias, normalise)
    made.weight.copy_(weight.movedim(-1, 1))
    assert made.bias is not None
    made.bias.copy_(bias)
    return made


def _folded(weight: Tensor, bias: Tensor | None, normalise: Normalise) -> tuple[Tensor, Tensor]:
    """The map w (p - m) / s + b as (w / s) p + (b - w m / s), in float64; colours on the last axis."""
    scaled = weight.double() / normalise.std.double()
    shift = (scaled * normalise.mean.double()).flatten(1).sum(dim=1)
    return scaled, -shift if bias is None else bias.double() - shift
