"""Whole encoders: from views, and from frames in GPU memory, to scores."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from crossiqa_edge.bench.kernel_cases import COMPILED, EAGER, OURS, Call, Case, pair_of_candidates
from crossiqa_edge.card import ModelCard
from crossiqa_edge.imaging.sampling import GRID
from crossiqa_edge.kernels.pixels import fragment_corners, sampled_pixels
from crossiqa_edge.kernels.quality import FusedQuality
from crossiqa_edge.model.family import family_size
from crossiqa_edge.model.quality import QualityModel

SIZES = ("tiny", "nano", "small", "base")
BATCHES = (1, 64, 8, 256)  # the goals' batches first, in case time runs out
FRAMES = ((1080, 1920), (2160, 3840))
TUNED = f"{COMPILED} max-autotune"  # records CUDA graphs itself
PERSISTENT = f"{OURS} persistent"  # experimental, for a batch of one

_MLP_RATIO = 4


def encoder_cases(device: str, dtype: torch.dtype, *, compiled: bool = True) -> Iterator[Case]:
    """The family on frames and at every batch; what the goals name comes first.

    On frames torch.compile is a candidate for the first size alone: it takes half a minute to prepare.
    """
    yield from sampled_cases(SIZES[0], device=device, dtype=dtype, compiled=compiled)
    for batch in BATCHES:
        for size in SIZES:
            yield encoder_case(size, batch, device=device, dtype=dtype, compiled=compiled)
    for size in SIZES[1:]:
        yield from sampled_cases(size, device=device, dtype=dtype, compiled=False)


def sampled_cases(size: str, *, device: str, dtype: torch.dtype, compiled: bool) -> Iterator[Case]:
    """One member from frames to scores, and the two ends of that way, embed and head, by themselves."""
    for height, width in FRAMES:
        yield frame_case(size, height, width, device=device, dtype=dtype, compiled=compiled)
        yield embed_case(size, height, width, device=device, dtype=dtype, compiled=compiled)
    yield head_case(size, 64, device=device, dtype=dtype, compiled=compiled)


def encoder_case(size: str, batch: int, *, device: str, dtype: torch.dtype, compiled: bool) -> Case:
    """uint8 views on the device to scores: torch's side computes its encoder in ``dtype`` as well."""
    model = _model(size, device)
    side = model.encoder.patch_embed.img_size[0]
    views = torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8, device=device)
    fused, plain = FusedQuality(model, dtype), _plain(model, dtype)
    candidates: dict[str, Callable[[], Call]] = {
        OURS: lambda: lambda: fused(views),
        EAGER: lambda: lambda: plain(views),
    }
    if batch == 1:
        persistent = FusedQuality(model, dtype, persistent=True)
        candidates[PERSISTENT] = lambda: lambda: persistent(views)
    if compiled:
        tuned = torch.compile(plain, mode="max-autotune", dynamic=False)
        candidates[TUNED] = lambda: lambda: tuned(views)
    flops, moved = _work(size, batch, dtype)
    return Case("encoder", {"size": size, "batch": batch}, flops, moved, candidates)


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

    flops, moved = _work(size, 1, dtype)
    return Case(
        "frame to score",
        {"size": size, "height": height, "width": width},
        flops,
        moved,
        pair_of_candidates(lambda: fused.sampled(frame, corners, tile), plain, compiled),
    )


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
    return Case(
        "embed",
        {"size": size, "height": height, "width": width},
        flops,
        moved,
        pair_of_candidates(lambda: fused.embedded(frame, corners, tile), plain, compiled),
    )


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
    return Case(
        "head",
        {"size": size, "batch": batch},
        10.0 * batch * width,
        float(batch * width * dtype.itemsize),
        pair_of_candidates(lambda: fused.scored(tokens), plain, compiled),
    )


def _model(size: str, device: str) -> QualityModel:
    torch.manual_seed(0)
    return QualityModel(ModelCard(size, size)).eval().requires_grad_(False).to(device)


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
