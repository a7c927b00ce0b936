"""The pretext's decoder: patch tokens of one view and the class token of another become pixels again."""

from __future__ import annotations

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from crossiqa_edge.model.embedding import resized_position_embedding
from crossiqa_edge.model.family import PATCH_SIZE, VIEW_SIZE, FamilySize


class CrossDecoder(nn.Module):
    """Plain ViT decoder, shared by all pairings.

    The class token is one more token of the sequence: attention is the only way by which the
    degradation it stands for reaches the patches.

    Shapes: patch tokens (B, N, width) and class token (B, width) -> (B, N, outputs).
    """

    def __init__(self, size: FamilySize, outputs: int, *, view_size: int = VIEW_SIZE) -> None:
        super().__init__()
        width = size.decoder_width
        side = view_size // PATCH_SIZE
        self.project = nn.Linear(size.width, width)
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + side * side, width) * 0.02)
        self.blocks = nn.Sequential(
            *(Block(width, size.decoder_heads, qkv_bias=True) for _ in range(size.decoder_depth))
        )
        self.norm = nn.LayerNorm(width)
        self.to_outputs = nn.Linear(width, outputs)

    def forward(self, patch_tokens: Tensor, class_token: Tensor, grid: tuple[int, int]) -> Tensor:
        tokens = self.project(torch.cat([class_token[:, None], patch_tokens], dim=1))
        tokens = tokens + resized_position_embedding(self.pos_embed, grid, prefix_tokens=1)
        tokens = self.norm(self.blocks(tokens))
        outputs: Tensor = self.to_outputs(tokens[:, 1:])
        return outputs
