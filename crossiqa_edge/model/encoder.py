"""The encoder: timm's ``VisionTransformer`` with the class token as quality embedding."""

from __future__ import annotations

from functools import partial

from timm.layers.patch_embed import PatchEmbed
from timm.models.vision_transformer import VisionTransformer

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.model.embedding import MultiLevelPatchEmbed
from crossiqa_edge.model.family import EMBEDDINGS, PATCH_SIZE, VIEW_SIZE, family_size


def build_encoder(
    size: str = "nano", *, embedding: str = "multilevel", view_size: int = VIEW_SIZE
) -> VisionTransformer:
    """A fresh encoder without a classifier.

    ``forward_features`` maps normalised (B, 3, H, W) to (B, 1 + N, width) after the final LayerNorm;
    token 0 is the class token. Views of any multiple of the patch are taken: position embeddings are
    interpolated, so training may use small views and finish at ``view_size``.

    Raises:
        ConfigError: unknown size or embedding.
    """
    shape = family_size(size)
    if embedding not in EMBEDDINGS:
        raise ConfigError(f"unknown patch embedding {embedding!r}; choose from {', '.join(EMBEDDINGS)}")
    embed_layer = (
        partial(MultiLevelPatchEmbed, levels=shape.levels) if embedding == "multilevel" else PatchEmbed
    )
    return VisionTransformer(
        img_size=view_size,
        patch_size=PATCH_SIZE,
        num_classes=0,
        embed_dim=shape.width,
        depth=shape.depth,
        num_heads=shape.heads,
        dynamic_img_size=True,
        embed_layer=embed_layer,
    )
