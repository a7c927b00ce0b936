"""Starting an encoder from a timm ViT checkpoint that the user has."""

from __future__ import annotations

import os
from collections.abc import Mapping

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.model.checkpoint import read_tensors
from crossiqa_edge.model.embedding import resized_position_embedding

# What a classifier or a self-supervised head has beyond the encoder, and what nobody misses here.
_NOT_ENCODER = ("head.", "head_dist.", "fc_norm.", "pre_logits.")


def initialise_encoder(encoder: VisionTransformer, path: str | os.PathLike[str]) -> list[str]:
    """Load the encoder's parameters from a timm ViT's safetensors file, position embeddings interpolated.

    Returns:
        Names of the encoder's parameters that keep their fresh values: the patch embedding's, where the
        file has the plain linear one and the encoder the multi-level one.

    Raises:
        ArtefactError: not a ViT, or one of another width, depth or patch size.
    """
    state, _ = read_tensors(path)
    state = {name.removeprefix("encoder."): tensor for name, tensor in state.items()}
    state = {name: tensor for name, tensor in state.items() if not name.startswith(_NOT_ENCODER)}
    wanted = encoder.state_dict()
    if "pos_embed" in state and state["pos_embed"].shape != wanted["pos_embed"].shape:
        state["pos_embed"] = _fitted_position_embedding(encoder, state["pos_embed"], path)
    _check_shapes(state, wanted, path)
    missing, unexpected = encoder.load_state_dict(state, strict=False)
    fresh = [name for name in missing if name.startswith("patch_embed.")]
    if len(fresh) != len(missing):
        lacking = next(name for name in missing if name not in fresh)
        raise ArtefactError(f"{path}: lacks {lacking!r}; give a timm ViT of the same size")
    surplus = [name for name in unexpected if not name.startswith("patch_embed.")]
    if surplus:
        raise ArtefactError(f"{path}: has {surplus[0]!r}, which this encoder has not; give a plain timm ViT")
    return fresh


def _fitted_position_embedding(
    encoder: VisionTransformer, embedding: Tensor, path: str | os.PathLike[str]
) -> Tensor:
    width = encoder.embed_dim
    prefix = encoder.num_prefix_tokens
    patches = embedding.shape[1] - prefix
    if embedding.ndim != 3 or embedding.shape[-1] != width or round(patches**0.5) ** 2 != patches:
        raise ArtefactError(
            f"{path}: position embeddings {tuple(embedding.shape)} do not fit width {width} "
            "with a class token; choose the model size that fits the file"
        )
    return resized_position_embedding(embedding, encoder.patch_embed.grid_size, prefix)


def _check_shapes(
    state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: str | os.PathLike[str]
) -> None:
    for name, tensor in state.items():
        if name in wanted and tensor.shape != wanted[name].shape:
            raise ArtefactError(
                f"{path}: {name} is {tuple(tensor.shape)}, the encoder's {tuple(wanted[name].shape)}; "
                "choose the model size (or --embedding linear) that fits the file"
            )
