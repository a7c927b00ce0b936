"""The mean of several stages' weights: often as good on every set as the best stage was on each.

Stages of one training lie near enough to each other that the straight line between them stays good
(Wortsman et al., "Model soups", ICML 2022).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.model.checkpoint import load, save_model
from crossiqa_edge.training.finetune import MODEL, finished_card
from crossiqa_edge.training.loop import prepare_run
from crossiqa_edge.training.mix import open_mix
from crossiqa_edge.training.recipe import FinetuneRecipe


def average(
    weights: Sequence[str | os.PathLike[str]],
    recipe: FinetuneRecipe,
    roots: Mapping[str, str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    cache: str | os.PathLike[str] | None = None,
) -> Path:
    """Average two or more models of one shape; calibrate the mean on what ``recipe`` holds out.

    The card is the last one's, with the new calibration, intervals and figures.

    Returns:
        Path of the model with its card.

    Raises:
        ConfigError: fewer than two, of different shapes, or nothing held out to calibrate on.
    """
    if len(weights) < 2:
        raise ConfigError("a mean needs the weights of two models at least")
    models, cards = zip(*map(load, weights), strict=True)
    if len({(card.size, card.embedding, card.view_size) for card in cards}) > 1:
        raise ConfigError(f"{weights[0]} and the others differ in size, embedding or view; average one shape")
    directory = prepare_run(out, restart=False)
    states = [model.state_dict() for model in models]
    mean = {name: torch.stack([state[name] for state in states]).mean(dim=0) for name in states[0]}
    models[-1].load_state_dict(mean)
    card = replace(cards[-1], recipe={**cards[-1].recipe, "average": [card.identity for card in cards]})
    mix = open_mix(recipe, roots, cache or directory)
    mix.require_calibration(recipe)
    card = finished_card(card, recipe, mix, models[-1].eval())
    save_model(models[-1], card, directory / MODEL)
    return directory / MODEL
