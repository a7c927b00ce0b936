"""Fine-tuning to human opinion: regression with a scale for each set, and ranks within sets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from crossiqa_edge.card import ModelCard
from crossiqa_edge.model.checkpoint import check_name, load, save_model, weights_sha256
from crossiqa_edge.model.quality import QualityModel
from crossiqa_edge.training.calibrate import Intervals, fit_calibration, held_out_coverage, sigmoid
from crossiqa_edge.training.distributed import World
from crossiqa_edge.training.loop import Observer, Task, prepare_run, train
from crossiqa_edge.training.metrics import plcc, srcc
from crossiqa_edge.training.mix import Mix, Validation, open_mix, set_digest, split_source
from crossiqa_edge.training.optimisation import build_optimiser
from crossiqa_edge.training.recipe import FinetuneRecipe
from crossiqa_edge.training.sources import KINDS, Draws

MODEL = "model.safetensors"
Start = tuple[QualityModel, ModelCard]
_RANK_TEMPERATURE = 0.1
_RANK_FLOOR = 0.02  # opinions nearer than this have no order worth teaching


class OpinionDraws(Dataset[tuple[Tensor, ...]]):
    """Item i: index of the set, then views, opinions and kinds of a ``Draw``; a pure function of i."""

    def __init__(self, draws: Sequence[Draws], recipe: FinetuneRecipe) -> None:
        self.draws, self.recipe = draws, recipe
        weights = np.array([source.weight for source in recipe.sources])
        self.shares = weights / weights.sum()

    def __len__(self) -> int:
        return self.recipe.batch * self.recipe.steps

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        generator = np.random.default_rng([self.recipe.seed, index])
        chosen = int(generator.choice(len(self.draws), p=self.shares))
        draw = self.draws[chosen].draw(generator)
        return torch.tensor(chosen), *map(torch.from_numpy, draw)


class OpinionRegression(nn.Module):
    """The network under fine-tuning.

    Sets of opinion have scales of their own (other viewers, other ranges), so each but the first has
    a positive gain and a shift between the one regression output and its opinions. Telling the kind of
    degradation teaches the encoder far more a view than one number does; the shipped model leaves that
    head behind.
    """

    ordinal: Tensor

    def __init__(self, quality: QualityModel, recipe: FinetuneRecipe) -> None:
        super().__init__()
        self.quality = quality
        self.kind_head = nn.Linear(quality.encoder.embed_dim, len(KINDS))
        self.recipe = recipe
        ordinal = torch.tensor([source.ordinal for source in recipe.sources])
        self.register_buffer("ordinal", ordinal, persistent=False)
        self.log_gain = nn.Parameter(torch.zeros(len(recipe.sources) - 1))
        self.shift = nn.Parameter(torch.zeros(len(recipe.sources) - 1))

    def forward(self, sets: Tensor, views: Tensor, opinions: Tensor, kinds: Tensor) -> dict[str, Tensor]:
        """Losses for set indices (B,), views (B, K, S, S, 3), opinions (B, K) on 0..1 and kinds (B, K)."""
        features = self.quality.features(views.flatten(0, 1))
        raw = self.quality.head(features).float().view_as(opinions)
        gain = F.pad(self.log_gain, (1, 0)).exp()[sets, None]
        shift = F.pad(self.shift, (1, 0))[sets, None]
        ordinal = self.ordinal[sets]
        errors = F.smooth_l1_loss(gain * raw + shift, opinions, beta=0.1, reduction="none")[~ordinal]
        regression = errors.sum() / max(errors.numel(), 1)
        # an order holds within its draw only, so such a draw is a set of its own
        draws = torch.arange(len(sets), device=sets.device) + len(self.ordinal)
        groups = torch.where(ordinal, draws, sets).repeat_interleave(opinions.shape[1])
        rank = rank_loss(raw.flatten(), opinions.flatten(), groups)
        within = rank_loss(raw.flatten(), opinions.flatten(), draws.repeat_interleave(opinions.shape[1]))
        known = kinds.flatten() >= 0
        kind = F.cross_entropy(
            self.kind_head(features).float(), kinds.flatten(), ignore_index=-1, reduction="sum"
        ) / known.sum().clamp(min=1)
        weights = self.recipe
        total = regression + weights.rank_weight * rank + weights.draw_rank_weight * within
        return {
            "total": total + weights.kind_weight * kind,
            "regression": regression,
            "rank": rank,
            "rank within": within,
            "kind": kind,
        }


def rank_loss(raw: Tensor, opinions: Tensor, sets: Tensor) -> Tensor:
    """Mean logistic loss of all pairs within a set, (N,) each: RankNet (Burges et al., ICML 2005).

    Pairs whose opinions differ by less than a fiftieth of the scale do not count.
    """
    apart = opinions[:, None] - opinions[None]
    pairs = (sets[:, None] == sets[None]) & (apart > _RANK_FLOOR)
    losses = F.softplus(-(raw[:, None] - raw[None]) / _RANK_TEMPERATURE)
    return (losses * pairs).sum() / pairs.sum().clamp(min=1)


def finetune(
    recipe: FinetuneRecipe,
    weights: str | os.PathLike[str] | Start | None,
    roots: Mapping[str, str | os.PathLike[str]],
    out: str | os.PathLike[str],
    world: World,
    *,
    name: str | None = None,
    linear_probe: bool = False,
    cache: str | os.PathLike[str] | None = None,
    workers: int = 1,
    restart: bool = False,
    observer: Observer | None = None,
) -> Path:
    """Fine-tune ``weights`` (fresh ones when None) on the recipe's sets; resumes from ``out``.

    Args:
        weights: a file, or a network with its card.
        roots: where each set of the recipe lies, by catalogue name.
        name: what the model will be called; the recipe's size by default.
        linear_probe: train the head alone, the paper's protocol.
        cache: folder for decoded pictures, ``out`` by default.

    Returns:
        Path of the calibrated model with its card.

    Raises:
        ConfigError: a name that no card can hold, a source without a root, nothing held out to calibrate on,
            or ``out`` holds the state of another recipe, or one that was begun from other weights, on other
            data, or with the linear probe where now there is none.
    """
    check_name(name or recipe.size)
    directory = prepare_run(out, restart=restart)
    mix = open_mix(recipe, roots, cache or directory)
    mix.require_calibration(recipe)
    quality, card = _start(recipe, weights)
    facts = {
        "start weights": "random" if weights is None else _identity(quality, card),
        "linear probe": "yes" if linear_probe else "no",
        **_data_facts(recipe, roots),
    }
    if linear_probe:
        quality.encoder.requires_grad_(False)
    torch.manual_seed(recipe.seed)  # of the head for kinds: what this process did before must not matter
    module = OpinionRegression(quality, recipe)
    optimiser = build_optimiser(module, recipe, [("quality.encoder.", recipe.encoder_rate)])

    def report(average: nn.Module, step: int) -> Mapping[str, float]:
        assert isinstance(average, OpinionRegression)
        return {
            f"SRCC {held.name}": srcc(predict(average.quality, held.views), held.opinions)
            for held in mix.validations
        }

    items = OpinionDraws(mix.draws, recipe)
    task = Task(module, optimiser, items, report, views_per_item=recipe.variants, facts=facts)
    average = train(task, recipe, directory, world, workers=workers, observer=observer)
    assert isinstance(average, OpinionRegression)
    if world.leads:
        card = finished_card(replace(card, name=name or recipe.size), recipe, mix, average.quality)
        save_model(average.quality.cpu(), card, directory / MODEL)
    return directory / MODEL


def _start(recipe: FinetuneRecipe, weights: str | os.PathLike[str] | Start | None) -> Start:
    if isinstance(weights, tuple):
        return weights
    if weights is None:
        torch.manual_seed(recipe.seed)
        card = ModelCard(name=recipe.name, size=recipe.size, embedding=recipe.embedding)
        return QualityModel(card), card
    return load(weights)


def _identity(quality: QualityModel, card: ModelCard) -> str:
    """By the weights as they are: a network that came with its card may have no hash yet, or an old one."""
    return replace(card, weights_sha256=weights_sha256(quality.state_dict())).identity


def _data_facts(recipe: FinetuneRecipe, roots: Mapping[str, str | os.PathLike[str]]) -> dict[str, str]:
    """A digest of what each source trains on. Where it lies is no part: a folder may move."""
    facts = {}
    for number, source in enumerate(recipe.sources, 1):
        place = source.place or source.data
        training, _ = split_source(source, Path(roots[place]).expanduser(), recipe)
        facts[f"training data of source {number} ({place})"] = set_digest(training)
    return facts


@torch.no_grad()
def predict(quality: QualityModel, views: npt.NDArray[np.uint8], batch: int = 32) -> npt.NDArray[np.float64]:
    """Raw scores, the mean over a picture's views: uint8 (N, V, S, S, 3) -> float64 (N,)."""
    flat = torch.from_numpy(views).flatten(0, 1)
    device = next(quality.parameters()).device
    raw = torch.cat([quality.raw(part.to(device)).float().cpu() for part in torch.split(flat, batch)])
    return raw.view(views.shape[:2]).mean(dim=1).double().numpy()


@dataclass(frozen=True)
class _Judged:
    held: Validation
    raw: npt.NDArray[np.float64]


def finished_card(card: ModelCard, recipe: FinetuneRecipe, mix: Mix, quality: QualityModel) -> ModelCard:
    """Calibrate ``quality`` on what ``mix`` holds out, and write down how good it is there."""
    judged = [_Judged(held, predict(quality, held.views)) for held in mix.validations]
    counted = [item for item in judged if item.held.calibrates]
    raw = np.concatenate([item.raw for item in counted])
    opinions = np.concatenate([item.held.opinions for item in counted])
    weights = np.concatenate([np.full(len(item.raw), 1.0 / len(item.raw)) for item in counted])
    slope, offset = fit_calibration(raw, opinions, weights)
    scores = 100.0 * sigmoid(slope * raw + offset)
    quality.calibration.slope.fill_(slope)
    quality.calibration.offset.fill_(offset)
    accuracy: dict[str, dict[str, float]] = {
        item.held.name: {
            "SRCC": round(srcc(item.raw, item.held.opinions), 4),
            "PLCC": round(plcc(item.raw, item.held.opinions), 4),
            "pictures": len(item.raw),
        }
        for item in judged
    }
    ends = np.cumsum([len(item.raw) for item in counted])[:-1]
    coverages = np.split(held_out_coverage(scores, 100.0 * opinions), ends)
    for item, coverage in zip(counted, coverages, strict=True):
        accuracy[item.held.name]["interval coverage"] = round(float(coverage.mean()), 4)
    return replace(
        card,
        calibration=(slope, offset),
        **Intervals.fit(scores, 100.0 * opinions).card_values(),
        training_data=tuple(dict.fromkeys((*card.training_data, *mix.training_names))),
        accuracy=accuracy,
        recipe={**card.recipe, recipe.name: recipe.to_dict()},
    )
