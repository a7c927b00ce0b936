"""What fine-tuning minimises and draws: pairs that count, kinds that are known, rates and seeds."""

import csv
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from crossiqa_edge.card import ModelCard
from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.data.datasets.population import population_mos
from crossiqa_edge.data.degradations import get
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.model.checkpoint import load
from crossiqa_edge.model.quality import QualityModel
from crossiqa_edge.training.finetune import OpinionDraws, OpinionRegression, finetune, rank_loss
from crossiqa_edge.training.recipe import FinetuneRecipe, Source
from crossiqa_edge.training.sources import KINDS, Draw, LabelledDraws, OrderDraws, PopulationDraws
from crossiqa_edge.training.views import halved_chroma


@pytest.fixture
def recipe():
    def make(**changes):
        values = {
            "size": "micro",
            "view_size": 32,
            "batch": 2,
            "steps": 2,
            "steps_per_epoch": 2,
            "warmup_steps": 1,
            "sources": (Source("folder", hold_out=0.5),),
        }
        return FinetuneRecipe("micro", **{**values, **changes})

    return make


def test_opinions_nearer_than_a_fiftieth_have_no_order_to_teach():
    raw, same = torch.tensor([0.9, 0.5, 0.1]), torch.zeros(3, dtype=torch.long)
    assert rank_loss(raw, torch.tensor([0.50, 0.51, 0.515]), same) == 0.0
    assert rank_loss(raw, torch.tensor([0.50, 0.51, 0.53]), same) > 1.0


def test_views_without_a_kind_do_not_thin_out_the_loss(recipe):
    torch.manual_seed(0)
    module = OpinionRegression(QualityModel(ModelCard("m", "micro")), recipe())
    views = torch.full((1, 2, 32, 32, 3), 90, dtype=torch.uint8)
    with torch.no_grad():
        both, one = (
            module(torch.tensor([0]), views, torch.full((1, 2), 0.5), torch.tensor([kinds]))["kind"]
            for kinds in ([3, 3], [3, -1])
        )
    assert float(one) == pytest.approx(float(both), rel=1e-5) and one > 0.0


@pytest.mark.parametrize(
    ("weight", "loss"),
    [("rank_weight", "rank"), ("draw_rank_weight", "rank within"), ("kind_weight", "kind")],
)
def test_each_loss_counts_as_much_as_the_recipe_says(recipe, weight, loss):
    torch.manual_seed(0)
    weights = {"rank_weight": 0.0, "draw_rank_weight": 0.0, "kind_weight": 0.0, weight: 0.25}
    module = OpinionRegression(QualityModel(ModelCard("m", "micro")), recipe(**weights))
    views = torch.randint(0, 256, (2, 2, 32, 32, 3), dtype=torch.uint8)
    opinions = torch.tensor([[0.1, 0.9], [0.4, 0.6]])
    with torch.no_grad():
        losses = module(torch.tensor([0, 0]), views, opinions, torch.tensor([[1, 2], [3, -1]]))
    assert losses[loss] > 0.1
    torch.testing.assert_close(losses["total"], losses["regression"] + 0.25 * losses[loss])


def test_the_encoder_learns_at_the_rate_of_the_recipe(recipe, tmp_path, alone):
    folder = tmp_path / "judged"
    folder.mkdir()
    with (folder / "labels.csv").open("w", newline="") as table:
        csv.writer(table).writerows([("file", "mos"), *((f"{index}.png", 9 * index) for index in range(8))])
    for index in range(8):
        Image.fromarray(photo_like(index, 48, 48)).save(folder / f"{index}.png")

    def state(name, weights, **changes):
        made = finetune(recipe(**changes), weights, {"folder": folder}, tmp_path / name, alone, workers=0)
        return made, load(made)[0].state_dict()

    start, before = state("start", None, steps=1)
    moved = {}
    for rate in (1.0, 1e-4):
        _, after = state(str(rate), start, encoder_rate=rate)
        moved[rate] = {name: float((after[name] - before[name]).abs().max()) for name in before}
    weight = "encoder.blocks.0.mlp.fc1.weight"
    assert 0 < moved[1e-4][weight] < 1e-2 * moved[1.0][weight]
    assert moved[1e-4]["head.weight"] > 0.1 * moved[1.0]["head.weight"] > 0


def test_draws_are_those_of_the_index_and_the_seed(recipe):
    class Numbers:
        def draw(self, generator):
            return Draw(*(generator.integers(100, size=4) for _ in range(3)))

    def drawn(index, **changes):
        return [part.tolist() for part in OpinionDraws([Numbers()], recipe(**changes))[index]]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)
    assert drawn(3) != drawn(3, seed=1)


@pytest.mark.parametrize(
    ("draws", "family", "kind", "opinion"),
    [
        (PopulationDraws, "kadid10k", "jpeg", population_mos),
        (PopulationDraws, "tid2013", "tid_jpeg", population_mos),
        (OrderDraws, "video", "video_banding", lambda name, level: 1.25 - level / 4),
    ],
)
def test_a_degraded_view_carries_the_opinion_of_its_own_level(
    recipe, photos, tmp_path, monkeypatch, draws, family, kind, opinion
):
    levels = [2, 5, 1, 4]
    monkeypatch.setattr(draws, "_kinds", lambda self, generator: [(get(kind), level) for level in levels])
    drawn = draws.of(sorted(photos.iterdir()), recipe(), tmp_path, family).draw(np.random.default_rng(0))
    assert drawn.scores == pytest.approx([opinion(kind, level) for level in levels])
    assert {KINDS[place] for place in drawn.kinds} == {kind}


def labelled(pictures):
    """Four pictures of each content, with their number in hundredths as their opinions."""
    samples = (
        Sample(str(index), index / 100, f"content {index // 4}", partial(np.array, picture))
        for index, picture in enumerate(pictures)
    )
    return QualitySet("made", tuple(samples), (0.0, 1.0))


def test_half_of_the_judged_draws_are_of_one_content_and_each_view_has_its_opinion(recipe, tmp_path):
    flat = [np.full((40, 40, 3), index, np.uint8) for index in range(40)]
    draws = LabelledDraws.of(labelled(flat), recipe(variants=3), tmp_path)
    related = []
    for seed in range(200):
        views, scores, kinds = draws.draw(np.random.default_rng(seed))
        numbers = views[:, 0, 0, 0].astype(int)
        assert scores.tolist() == pytest.approx((numbers / 100).tolist()) and (kinds == -1).all()
        assert len(set(numbers)) == 3
        related.append(len(set(numbers // 4)) == 1)
    assert np.mean(related) == pytest.approx(0.5, abs=0.1)


def test_a_share_of_the_views_has_halved_chroma(recipe, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (4, 40, 40, 3), np.uint8)

    def view(share):
        draws = LabelledDraws.of(labelled(noise), recipe(variants=1, chroma_share=share), tmp_path)
        return draws.draw(np.random.default_rng(1)).views[0]

    np.testing.assert_array_equal(view(1.0), halved_chroma(view(0.0)))
    assert (view(1.0) != view(0.0)).any()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_draws_holds_levels_of_one_type(recipe, photos, tmp_path, share):
    draws = PopulationDraws.of(sorted(photos.iterdir()), recipe(levels_share=share), tmp_path, "kadid10k")
    one_type = [len(set(draws.draw(np.random.default_rng(seed)).kinds)) == 1 for seed in range(40)]
    assert np.mean(one_type) == pytest.approx(share, abs=0.0 if share in (0.0, 1.0) else 0.25)


def test_sets_are_drawn_in_proportion_to_their_weights(recipe):
    class Nothing:
        def draw(self, generator):
            return Draw(*(np.zeros(1) for _ in range(3)))

    sources = (Source("folder", 1.0), Source("population", 3.0))
    items = OpinionDraws([Nothing(), Nothing()], recipe(sources=sources, batch=100))
    chosen = [int(items[index][0]) for index in range(400)]
    assert np.mean(chosen) == pytest.approx(0.75, abs=0.07)
