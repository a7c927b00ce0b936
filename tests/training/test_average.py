"""The mean of several stages' weights, calibrated anew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from own_pictures import make_pictures, write_table, write_weights

from crossiqa_edge.card import ModelCard
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.model.checkpoint import load, save_model
from crossiqa_edge.model.quality import QualityModel
from crossiqa_edge.training.average import average
from crossiqa_edge.training.finetune import finished_card
from crossiqa_edge.training.mix import Mix, Validation, open_mix
from crossiqa_edge.training.recipe import FinetuneRecipe, Source

RECIPE = FinetuneRecipe("mean", size="micro", view_size=32, sources=(Source("folder", hold_out=0.25),))


@pytest.fixture
def roots(tmp_path: Path) -> Mapping[str, Path]:
    rows = make_pictures(tmp_path / "judged", 40)
    write_table(tmp_path / "judged" / "labels.csv", rows)
    return {"folder": tmp_path / "judged"}


def shifted(by: float):
    def change(model: QualityModel) -> None:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += by

    return change


def test_every_parameter_is_the_mean_and_the_card_is_new(roots: Mapping[str, Path], tmp_path: Path) -> None:
    first = write_weights(tmp_path / "first.safetensors")
    second = write_weights(tmp_path / "second.safetensors", shifted(0.02))
    mean, card = load(average([first, second], RECIPE, roots, tmp_path / "out"))
    start = load(first)[0].state_dict()
    for name, value in mean.state_dict().items():
        torch.testing.assert_close(value, start[name] + 0.01)
    assert "judged" in card.accuracy
    assert "x" not in card.accuracy
    assert card.recipe["average"] == [load(first)[1].identity, load(second)[1].identity]
    applied = (mean.calibration.slope.item(), mean.calibration.offset.item())
    assert applied == pytest.approx(card.calibration)


def test_what_cannot_be_averaged(roots: Mapping[str, Path], tmp_path: Path) -> None:
    one = write_weights(tmp_path / "one.safetensors")
    with pytest.raises(ConfigError, match="two models at least"):
        average([one], RECIPE, roots, tmp_path / "out")
    other = ModelCard("other", "micro", view_size=64)
    save_model(QualityModel(other), other, tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match="differ in size"):
        average([one, tmp_path / "other.safetensors"], RECIPE, roots, tmp_path / "out")


def test_a_set_that_does_not_calibrate_is_measured_only(roots: Mapping[str, Path], tmp_path: Path) -> None:
    quality, card = load(write_weights(tmp_path / "one.safetensors", shifted(0.02)))
    mix = open_mix(RECIPE, roots, tmp_path)
    (held,) = mix.validations
    wrong = Validation(
        "means", held.views, np.zeros_like(held.opinions) + np.arange(len(held.opinions)), False
    )
    alone = finished_card(card, RECIPE, mix, quality)
    both = finished_card(card, RECIPE, Mix(mix.draws, (held, wrong), mix.training_names), quality)
    assert both.calibration == alone.calibration
    assert both.interval_half_widths == alone.interval_half_widths
    assert both.accuracy["judged"] == alone.accuracy["judged"]
    assert "interval coverage" in both.accuracy["judged"]
    assert set(both.accuracy["means"]) == {"SRCC", "PLCC", "pictures"}


def test_a_set_does_not_calibrate_more_for_being_larger(roots: Mapping[str, Path], tmp_path: Path) -> None:
    quality, card = load(write_weights(tmp_path / "one.safetensors", shifted(0.02)))
    mix = open_mix(RECIPE, roots, tmp_path)
    (held,) = mix.validations

    def calibrated(times: int) -> tuple[float, float]:
        views, opinions = np.repeat(held.views, times, axis=0), np.repeat(held.opinions / 2, times)
        both = (held, Validation("other", views, opinions))
        return finished_card(card, RECIPE, Mix(mix.draws, both, mix.training_names), quality).calibration

    assert calibrated(5) == pytest.approx(calibrated(1), rel=1e-4)
