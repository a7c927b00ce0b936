"""Whole encoders: from views, and from frames in GPU memory, to scores."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from crossiqa_edge.bench.kernel_cases import Case
from crossiqa_edge.bench.kernel_names import EAGER, OURS, PERSISTENT
from crossiqa_edge.bench.kernel_peers import Call, Candidates, by_tuned_compiler, pair_of_candidates
from crossiqa_edge.card import ModelCard
from crossiqa_edge.imaging.sampling import GRID
from crossiqa_edge.kernels.pixels import fragment_corners, sampled_pixels
from crossiqa_edge.kernels.quality import FusedQuality
from crossiqa_edge.model.family import family_size
from crossiqa_edge.model.quality import QualityModel

_MLP_RATIO = 4
_SPREAD = 0.25  # of the regression's results: scores from about 25 to 75


def encoder_case(size: str, batch: int, *, device: str, dtype: torch.dtype, compiled: bool) -> Case:
    """uint8 views on the device to scores: torch's side computes its encoder in ``dtype`` as well."""
    model = _model(size, device)
    views = _views(model, batch, device)
    fused, plain = FusedQuality(model, dtype), _plain(model, dtype)
    candidates: Candidates = {OURS: lambda: lambda: fused(views), EAGER: lambda: lambda: plain(views)}
    tuned = by_tuned_compiler(lambda: plain(views), compiled)
    return Case(*_work(size, batch, dtype), candidates | tuned)


def one_launch_case(size: str, *, device: str, dtype: torch.dtype) -> Case:
    """A single view to its score, the blocks in one launch: the experiment, against the fused kernels."""
    model = _model(size, device)
    views = _views(model, 1, device)
    fused, plain = FusedQuality(model, dtype), _plain(model, dtype)

    def persistent() -> Call:
        quality = FusedQuality(model, dtype, persistent=True)
        return lambda: quality(views)

    candidates: Candidates = {OURS: lambda: lambda: fused(views), EAGER: lambda: lambda: plain(views)}
    return Case(*_work(size, 1, dtype), candidates | {PERSISTENT: persistent})


def frame_case(
    size: str, height: int, width: int, *, device: str, dtype: torch.dtype, compiled: bool
) -> Case:
    """A uint8 frame on the device to its score by fragments; torch gathers the pixels, then computes."""
    model = _model(size, device)
    frame = torch.randint(0, 256, (1, height, width, 3), dtype=torch.uint8, device=device)
    side = model.encoder.patch_embed.img_size[0]
    corners = fragment_corners(height, width, side).to(device)
    tile = side // GRID
    fused, score = FusedQuality(model, dtype), _plain(model, dtype)

    def plain() -> Tensor:
        return score(sampled_pixels(frame, None, None, corners, tile))

    candidates = pair_of_candidates(lambda: fused.sampled(frame, corners, tile), plain, compiled)
    return Case(*_work(size, 1, dtype), candidates)


def embed_case(
    size: str, height: int, width: int, *, device: str, dtype: torch.dtype, compiled: bool
) -> Case:
    """The same frame to tokens only, which should cost the same whatever the size of the frame."""
    model = _model(size, device)
    frame = torch.randint(0, 256, (1, height, width, 3), dtype=torch.uint8, device=device)
    side = model.encoder.patch_embed.img_size[0]
    corners = fragment_corners(height, width, side).to(device)
    tile = side // GRID
    fused, encoder = FusedQuality(model, dtype), _fixed_encoder(model, dtype)

    def plain() -> Tensor:
        views = sampled_pixels(frame, None, None, corners, tile)
        tokens: Tensor = encoder._pos_embed(encoder.patch_embed(model.normalise(views).to(dtype)))
        return tokens

    values, flops = 3 * side**2, 0.0
    moved = float(values + fused.position.numel() * dtype.itemsize)
    for weight in fused.weights:
        rows = values // weight.shape[1]
        flops += 2.0 * rows * weight.numel()
        moved += weight.numel() * dtype.itemsize
        values = rows * weight.shape[0]
    candidates = pair_of_candidates(lambda: fused.embedded(frame, corners, tile), plain, compiled)
    return Case(flops, moved, candidates)


def head_case(size: str, batch: int, *, device: str, dtype: torch.dtype, compiled: bool) -> Case:
    """The last block's tokens to scores."""
    model = _model(size, device)
    fused = FusedQuality(model, dtype)
    tokens = torch.randn(batch, *fused.position.shape, device=device, dtype=dtype)
    norm = model.encoder.norm

    def plain() -> Tensor:
        score: Tensor = model.calibration(model.head(norm(tokens.float())[:, 0]))
        return score

    width = tokens.shape[-1]
    candidates = pair_of_candidates(lambda: fused.scored(tokens), plain, compiled)
    return Case(10.0 * batch * width, float(batch * width * dtype.itemsize), candidates)


@lru_cache(maxsize=8)  # base takes seconds to initialise; nobody changes what is returned
def _model(size: str, device: str) -> QualityModel:
    torch.manual_seed(0)
    model = QualityModel(ModelCard(size, size))
    # An untrained regression is zero: each score would be 50, whatever the encoder computes.
    nn.init.normal_(model.head.weight, std=_SPREAD * family_size(size).width ** -0.5)
    return model.eval().requires_grad_(False).to(device)


def _views(model: QualityModel, batch: int, device: str) -> Tensor:
    side = model.encoder.patch_embed.img_size[0]
    return torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8, device=device)


def _plain(model: QualityModel, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """timm's encoder in ``dtype``, the head in float32, as ``FusedQuality`` has it."""
    encoder = _fixed_encoder(model, dtype)

    def score(views: Tensor) -> Tensor:
        tokens = encoder.forward_features(model.normalise(views).to(dtype))
        result: Tensor = model.calibration(model.head(tokens[:, 0].float()))
        return result

    return score


def _fixed_encoder(model: QualityModel, dtype: torch.dtype) -> VisionTransformer:
    encoder: VisionTransformer = copy.deepcopy(model.encoder).to(dtype)
    vars(encoder)["dynamic_img_size"] = False  # no interpolation, which would be torch's loss alone
    vars(encoder.patch_embed)["flatten"] = True
    return encoder


def _work(size: str, batch: int, dtype: torch.dtype) -> tuple[float, float]:
    """(operations, bytes) of the blocks: their products; their weights, and their tokens in and out."""
    shape = family_size(size)
    tokens, width = 197, shape.width
    weights = (4 + 2 * _MLP_RATIO) * width**2
    products = 2.0 * tokens * weights + 4.0 * tokens**2 * width
    moved = (weights + 2.0 * batch * tokens * width) * dtype.itemsize
    return shape.depth * batch * products, shape.depth * moved
