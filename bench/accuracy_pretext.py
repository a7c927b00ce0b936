"""What the pretext has learnt to rebuild, degradation by degradation, on pictures that it has not seen.

Content a under p gives the patch tokens, content b under q the class token; the decoder must make (a, q). Its
PSNR against (a, q) says how good the picture is; how often it is nearer to (a, q) than to the (a, p) that it
was given the patches of says whether the class token carried the degradation over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from crossiqa_edge.card import CARD_KEY, ModelCard
from crossiqa_edge.data.degradations.registry import Degradation, every
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.model.checkpoint import read_tensors
from crossiqa_edge.model.reconstruction import CrossReconstruction
from crossiqa_edge.training.pretrain import ENCODER, build_module
from crossiqa_edge.training.recipe import PretrainRecipe
from crossiqa_edge.training.resume import CHECKPOINT

LEVELS = (3, 5)

Values = npt.NDArray[np.float64]


def load_pretext(run: Path) -> tuple[CrossReconstruction, int]:
    """The averaged network of a pre-training run, its decoder included, and the side of its views.

    Raises:
        ArtefactError: the run's files are absent or damaged.
        ConfigError: its state is not of a pre-training.
    """
    tensors, metadata = read_tensors(run / CHECKPOINT)
    _, about = read_tensors(run / ENCODER)
    try:
        recipe = PretrainRecipe(**json.loads(metadata["recipe"]))
    except TypeError as error:
        raise ConfigError(f"{run}: no run of `crossiqa train pretrain`; name its folder") from error
    module = build_module(recipe, ModelCard.from_json(about[CARD_KEY], str(run)))
    prefix = "average/"
    module.load_state_dict(
        {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
    )
    return module.eval(), recipe.view_size


def reconstruction(run: Path, pictures: Sequence[Path]) -> dict[str, dict[str, float]]:
    """For every degradation q of KADID-10k: figures over all ``pictures`` and two levels of q.

    Returns:
        by type: ``crossed`` and ``straight`` (PSNR in dB) and ``nearer`` (share of crossed reconstructions
        that are nearer to their target than to the picture whose patches they were made of).
    """
    module, side = load_pretext(run)
    contents = [_middle(decode(path), side) for path in pictures]
    return {kind.name: _figures(module, contents, kind) for kind in every("kadid10k")}


@torch.no_grad()
def _figures(module: CrossReconstruction, contents: Sequence[Frame], kind: Degradation) -> dict[str, float]:
    grids = torch.from_numpy(np.stack(list(_grids(contents, kind))))
    side = grids.shape[3]
    tokens = module.encode_grid(grids)
    crossed = module.cross(tokens, side).pixels.view(grids.shape)[:, 0, 1]
    straight = module.decode(tokens[:, 0, 1, 1:], tokens[:, 0, 1, 0], side).pixels
    wanted, given = grids[:, 0, 1], grids[:, 0, 0]
    to_wanted, to_given = _psnr(crossed, wanted), _psnr(crossed, given)
    return {
        "crossed": round(float(to_wanted.mean()), 2),
        "straight": round(float(_psnr(straight, wanted).mean()), 2),
        "nearer": round(float((to_wanted > to_given).mean()), 4),
    }


def _grids(contents: Sequence[Frame], kind: Degradation) -> Iterator[npt.NDArray[np.uint8]]:
    """uint8 (2, 2, S, S, 3): contents a and b, degradations p (another type, drawn) and q (``kind``)."""
    generator = np.random.default_rng([kind.number])
    others = [other for other in every("kadid10k") if other.name != kind.name]
    for level in LEVELS:
        for index, content in enumerate(contents):
            pair = (content, contents[(index + 1) % len(contents)])
            other = others[int(generator.integers(len(others)))]
            seed = int(generator.integers(2**31))
            yield np.stack([[other(picture, level, seed), kind(picture, level, seed)] for picture in pair])


def _psnr(rebuilt: Tensor, target: Tensor) -> Values:
    """dB, (B,)."""
    error = (rebuilt.clamp(0, 1) - target.float() / 255).square().mean(dim=(1, 2, 3)).double()
    return np.asarray(-10 * torch.log10(error.clamp(min=1e-10)), np.float64)


def _middle(picture: Frame, side: int) -> Frame:
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return np.ascontiguousarray(picture[top : top + side, left : left + side])
