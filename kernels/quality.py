"""``FusedQuality``: a ``QualityModel`` from bytes to score in fused kernels, and nothing between them.

embed, then seven launches a block, then head: 44 launches for nano's six blocks, 86 for the others' twelve,
which a CUDA graph (``crossiqa_edge.kernels.graph``) replays as one. Inference only.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.kernels.accelerate import accelerate
from crossiqa_edge.kernels.embed import embed
from crossiqa_edge.kernels.head import head
from crossiqa_edge.kernels.persistent import PersistentBlocks
from crossiqa_edge.kernels.pixels import normaliser
from crossiqa_edge.kernels.shapes import check_shapes
from crossiqa_edge.model.embedding import MultiLevelPatchEmbed
from crossiqa_edge.model.quality import QualityModel


class FusedQuality(nn.Module):
    """The scores of ``model``, a copy of whose parameters it holds.

    Args:
        model: with a multi-level or a plain patch embedding; left as it is.
        dtype: of the weights and activations of embedding and blocks; the head computes in float32.
        persistent: experimental, whether a GPU computes all blocks of a single view in one launch, see
            ``persistent.py``; the parameters of the blocks are then held twice.

    Raises:
        ConfigError: blocks or an embedding that the kernels do not take.
    """

    normaliser: Tensor
    class_token: Tensor
    position: Tensor
    calibration: Tensor

    def __init__(
        self, model: QualityModel, dtype: torch.dtype = torch.float32, *, persistent: bool = False
    ) -> None:
        super().__init__()
        encoder: VisionTransformer = copy.deepcopy(model.encoder).eval().requires_grad_(False)
        self.view_size = encoder.patch_embed.img_size[0]
        self.blocks = accelerate(encoder).blocks.to(dtype)
        self.persistent = PersistentBlocks(self.blocks) if persistent else None
        self.norm, self.head = encoder.norm, copy.deepcopy(model.head).requires_grad_(False)
        levels = _levels(encoder.patch_embed)
        self.weights = nn.ParameterList(_constant(weight.flatten(1), dtype) for weight, _ in levels)
        self.biases = nn.ParameterList(_constant(bias, dtype) for _, bias in levels)
        device = next(encoder.parameters()).device
        mean, std = (tuple((value / 255).tolist()) for value in (model.normalise.mean, model.normalise.std))
        self.register_buffer("normaliser", normaliser(mean, std).to(device))
        if encoder.cls_token is None or encoder.pos_embed is None:
            raise ConfigError("the encoder needs a class token and position embeddings")
        self.register_buffer("class_token", encoder.cls_token.detach()[0, 0].to(dtype))
        self.register_buffer("position", encoder.pos_embed.detach()[0].to(dtype))
        slope_offset = torch.stack([model.calibration.slope, model.calibration.offset])
        self.register_buffer("calibration", slope_offset)

    def forward(self, views: Tensor) -> Tensor:
        """uint8 (B, S, S, 3) -> score (B,), float32, 0 to 100.

        Raises:
            ConfigError: views of another size, of which the corner alone would be scored.
        """
        check_shapes("FusedQuality", views=(views, (len(views), self.view_size, self.view_size, 3)))
        corners = torch.zeros((len(views), 1, 1, 2), dtype=torch.int32, device=views.device)
        return self.sampled(views, corners, self.view_size)

    def sampled(
        self,
        picture: Tensor,
        corners: Tensor,
        tile: int,
        chroma: Tensor | None = None,
        factors: Tensor | None = None,
    ) -> Tensor:
        """Scores of views that are sampled from a picture where it lies; arguments as of ``embed``."""
        return self.scored(self.encoded(self.embedded(picture, corners, tile, chroma, factors)))

    def embedded(
        self,
        picture: Tensor,
        corners: Tensor,
        tile: int,
        chroma: Tensor | None = None,
        factors: Tensor | None = None,
    ) -> Tensor:
        """Tokens (B, 1 + P, width) before the first block; arguments as of ``embed``."""
        tokens: Tensor = embed(
            *(picture, chroma, factors, corners, tile, self.normaliser),
            *(list(self.weights), list(self.biases), self.class_token, self.position),
        )
        return tokens

    def encoded(self, tokens: Tensor) -> Tensor:
        """Tokens (B, 1 + P, width) before the first block -> after the last one."""
        if self.persistent is not None and tokens.is_cuda and len(tokens) == 1:
            return self.persistent.forward(tokens)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens

    def scored(self, tokens: Tensor) -> Tensor:
        """Tokens (B, 1 + P, width) after the last block -> score (B,), float32."""
        parameters = (self.norm.weight, self.norm.bias, self.head.weight, self.head.bias, self.calibration)
        score: Tensor = head(tokens, *parameters, self.norm.eps)[2]
        return score


def _levels(embedding: Any) -> list[tuple[Tensor, Tensor]]:
    """(weight, bias) of each level, innermost first; the plain embedding is a convolution and has one."""
    if isinstance(embedding, MultiLevelPatchEmbed):
        return [(level.weight, level.bias) for level in embedding.levels if isinstance(level, nn.Linear)]
    return [(embedding.proj.weight, embedding.proj.bias)]


def _constant(value: Tensor, dtype: torch.dtype) -> nn.Parameter:
    return nn.Parameter(value.detach().to(dtype, copy=True), requires_grad=False)
