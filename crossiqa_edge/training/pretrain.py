"""Pre-training by cross reconstruction, without any labels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from crossiqa_edge.card import ModelCard
from crossiqa_edge.data.datasets.bsds500 import in_test_part
from crossiqa_edge.data.datasets.population import photographs
from crossiqa_edge.data.degradations import LEVELS, every
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.model.checkpoint import save_model, weights_sha256
from crossiqa_edge.model.initialise import initialise_encoder
from crossiqa_edge.model.quality import QualityModel
from crossiqa_edge.model.reconstruction import CrossReconstruction
from crossiqa_edge.training.distributed import World
from crossiqa_edge.training.loop import Observer, Task, prepare_run, train
from crossiqa_edge.training.optimisation import build_optimiser
from crossiqa_edge.training.pictures import PictureCache
from crossiqa_edge.training.recipe import PretrainRecipe
from crossiqa_edge.training.sheet import write_sheet
from crossiqa_edge.training.views import region

MARGIN = 24
ENCODER = "pretrained.safetensors"


class Grids(Dataset[tuple[Tensor, ...]]):
    """Item i: two contents times two degradations, uint8 (2, 2, S, S, 3); a pure function of i."""

    def __init__(self, pictures: PictureCache, recipe: PretrainRecipe) -> None:
        self.pictures, self.recipe = pictures, recipe
        self.degradations = every("kadid10k")

    def __len__(self) -> int:
        return self.recipe.batch * self.recipe.steps

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        generator = np.random.default_rng([self.recipe.seed, index])
        contents = [self._content(generator) for _ in range(2)]
        if self.recipe.pairing == "same-content":
            contents[1] = contents[0]
        kinds = [self._kind(generator) for _ in range(2)]
        if generator.random() < self.recipe.pristine_share:
            kinds[generator.integers(2)] = None
        cells = [[self._view(content, kind, generator) for kind in kinds] for content in contents]
        return (torch.from_numpy(np.array(cells)),)

    def _content(self, generator: np.random.Generator) -> Frame:
        picture = self.pictures[int(generator.integers(len(self.pictures)))]
        return np.ascontiguousarray(region(picture, generator, self.recipe.view_size, MARGIN))

    def _kind(self, generator: np.random.Generator) -> tuple[int, int] | None:
        return int(generator.integers(len(self.degradations))), int(generator.integers(1, LEVELS + 1))

    def _view(self, content: Frame, kind: tuple[int, int] | None, generator: np.random.Generator) -> Frame:
        seed = int(generator.integers(2**31))
        if kind is not None:
            content = self.degradations[kind[0]](content, kind[1], seed)
        size = self.recipe.view_size
        top, left = ((side - size) // 2 // 8 * 8 for side in content.shape[:2])
        return content[top : top + size, left : left + size]


def pretrain(
    recipe: PretrainRecipe,
    photos: str | os.PathLike[str],
    out: str | os.PathLike[str],
    world: World,
    *,
    init_from: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    workers: int = 1,
    restart: bool = False,
    observer: Observer | None = None,
) -> Path:
    """Pre-train on a folder of photographs; resumes from ``out`` if a run was left there.

    Args:
        init_from: safetensors file of a timm ViT to start the encoder from.
        cache: folder for decoded pictures, ``out`` by default.

    Returns:
        Path of the pre-trained weights: a model with an untrained head.

    Raises:
        DatasetError: no such folder, or not a picture in it.
        ConfigError: ``out`` holds the state of another recipe, or one that was begun from other weights or
            on other photographs.
    """
    directory = prepare_run(out, restart=restart)
    paths = photographs(photos)
    if recipe.bsds_test_apart:
        paths = [path for path in paths if not in_test_part(path.name)]
    pictures = PictureCache.of_files(cache or directory, paths)
    card = ModelCard(
        name=recipe.name,
        size=recipe.size,
        embedding=recipe.embedding,
        training_data=(f"{len(paths)} photographs, unlabelled",),
        recipe={"pretrain": recipe.to_dict()},
    )
    module = build_module(recipe, card)
    if init_from is not None:
        initialise_encoder(module.quality.encoder, init_from)
    facts = {
        "start weights": "random" if init_from is None else _identity(module.quality.encoder),
        "photographs": _digest(paths, Path(photos).expanduser()),
    }
    grids = Grids(pictures, recipe)
    shown = torch.stack([grids[recipe.batch * recipe.steps + i][0] for i in range(4)])

    def report(average: nn.Module, step: int) -> Mapping[str, float]:
        assert isinstance(average, CrossReconstruction)
        write_sheet(average, shown.to(world.device), directory / f"reconstruction-{step:06d}.png")
        return {}

    task = Task(module, build_optimiser(module, recipe), grids, report, views_per_item=4, facts=facts)
    average = train(task, recipe, directory, world, workers=workers, observer=observer)
    assert isinstance(average, CrossReconstruction)
    if world.leads:
        save_model(average.quality.cpu(), card, directory / ENCODER)
    return directory / ENCODER


def _identity(encoder: nn.Module) -> str:
    return weights_sha256(encoder.state_dict())[:12]


def _digest(paths: Sequence[Path], root: Path) -> str:
    """Of names and sizes, not of pixels. Where the folder lies is no part: it may move."""
    rows = (f"{path.relative_to(root).as_posix()}\t{path.stat().st_size}\n" for path in paths)
    return hashlib.sha256("".join(rows).encode(errors="surrogateescape")).hexdigest()[:12]


def build_module(recipe: PretrainRecipe, card: ModelCard) -> CrossReconstruction:
    """The network of a recipe with weights drawn from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    quality = QualityModel(card)
    quality.head.requires_grad_(False)  # nothing in the pretext reads it
    return CrossReconstruction(
        quality,
        recipe.size,
        view_size=card.view_size,
        energy_weight=recipe.energy_weight,
        crossed_weight=recipe.crossed_weight,
    )
