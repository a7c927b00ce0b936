"""What is judged is what fine-tuning held out: held to the packaged recipes and plans themselves."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("timm", reason="the recipes' mix needs the train extra")

from crossiqa_edge.bench import accuracy_sets
from crossiqa_edge.data.degradations import every
from crossiqa_edge.data.fidelity import psnr
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.training.mix import split_source
from crossiqa_edge.training.plan import load_plan, packaged_plans
from crossiqa_edge.training.recipe import FinetuneRecipe, load_recipe, packaged_recipes
from crossiqa_edge.weights import find

TEST_PART = ("b100007", "b100039", "b100099", "b10081")  # of BSDS500
NOISE, LEVEL = ("tid_white_noise", 1), range(1, 6)
RECIPES = [
    *(load_recipe(FinetuneRecipe, name) for name in packaged_recipes() if "pretrain" not in name),
    *(stage.recipe for name in packaged_plans() for stage in load_plan(name)),
]
FINETUNING = [recipe for recipe in RECIPES if isinstance(recipe, FinetuneRecipe)]


def held_out(data, root):
    """References that packaged recipes and plans hold out of a set, recipe by recipe."""
    for recipe in FINETUNING:
        for source in recipe.sources:
            if source.data == data and source.place in ("", source.data):
                _, held = split_source(source, root, recipe)
                yield {item.reference for item in held.samples}


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setattr(accuracy_sets, "PROBE_PICTURES", 20)
    monkeypatch.setattr(accuracy_sets, "TEST_PHOTOGRAPHS", 2)
    folder = tmp_path / "photos"
    folder.mkdir()
    names = [*(f"{index:02d}" for index in range(26)), *TEST_PART]
    for index, name in enumerate(names):
        Image.fromarray(photo_like(index, 48, 48)).save(folder / f"{name}.png")
    return folder


def references(pictures):
    return {item.reference for item in pictures.quality_set.samples}


def test_population_is_judged_on_photographs_that_every_recipe_holds_out(photos, tmp_path):
    found = accuracy_sets._population(photos, tmp_path / "cache")
    held = list(held_out("population", photos))
    assert held
    for kept in held:
        assert references(found.test) <= kept
        assert not references(found.training) & kept
    assert len(found.test.quality_set) == 2 * 125
    assert references(found.test) < set(TEST_PART)
    assert len(found.training.quality_set) == 20
    sample = found.test.quality_set.samples[0]
    assert sample.load().shape == found.test.original(sample).shape == (48, 48, 3)


def test_a_rebuilt_picture_has_the_crop_that_it_was_made_of_as_its_original(tmp_path, monkeypatch):
    photo = photo_like(0, 512, 768)
    for number in range(1, 17):
        shifted = Image.fromarray(np.roll(photo, 40 * number, axis=1))
        shifted.save(tmp_path / f"kodim{number:02d}.png", compress_level=0)
    (tmp_path / "opinions").mkdir()
    rows = [(r, kind.number, level, 5) for r in range(1, 17) for kind in every("tid2013") for level in LEVEL]
    lines = ["reference,type,level,mos", *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "opinions" / "tid2013_kodak01-16.csv").write_text("\n".join(lines))

    def mild_noise(data, root):
        parts = whole(data, root)
        return [part.where(lambda item: (item.distortion, item.level) == NOISE) for part in parts]

    whole = accuracy_sets.held_out
    monkeypatch.setattr(accuracy_sets, "held_out", mild_noise)
    found = accuracy_sets._tid(tmp_path, tmp_path / "cache")
    assert references(found.training) == {f"kodim{number:02d}" for number in range(1, 13)}
    assert references(found.test) == {f"kodim{number}" for number in range(13, 17)}
    for sample in found.test.quality_set.samples:
        assert psnr(found.test.original(sample), sample.load()) == pytest.approx(33, abs=0.5)


def test_authentic_pictures_are_those_that_every_recipe_holds_out(tmp_path):
    folder = tmp_path / "livec"
    folder.mkdir()
    for index in range(20):
        Image.new("RGB", (40, 40), (index, 0, 0)).save(folder / f"{index}.png")
    lines = ["file,mos", *(f"{index}.png,{index}" for index in range(20))]
    (folder / "labels.csv").write_text("\n".join(lines))
    found = accuracy_sets._authentic(folder, tmp_path / "cache")
    held = list(held_out("folder", folder))
    assert held
    assert all(references(found.test) == kept for kept in held)
    assert references(found.training) == {f"{index}.png" for index in range(20)} - references(found.test)
    for item in found.test.quality_set.samples:  # the cache gives each its own picture
        assert item.load()[0, 0, 0] == int(item.reference.removesuffix(".png"))


def test_other_pixels_under_the_same_names_are_other_pictures(tmp_path):
    folder = tmp_path / "livec"
    folder.mkdir()
    found = []
    for colour in (0, 1):
        for index in range(20):
            Image.new("RGB", (40 + colour, 40), (index, colour, 0)).save(folder / f"{index}.png")
        lines = ["file,mos", *(f"{index}.png,{index}" for index in range(20))]
        (folder / "labels.csv").write_text("\n".join(lines))
        found.append(accuracy_sets._authentic(folder, tmp_path / "cache").test)
    first, second = found
    assert first.digest == second.digest
    assert first.pixels != second.pixels


def test_recipes_agree_on_the_references_of_tid2013():
    named = {
        source.hold_out_references
        for recipe in FINETUNING
        for source in recipe.sources
        if source.data == "tid-kodak"
    }
    assert named == {("kodim13", "kodim14", "kodim15", "kodim16")}


@pytest.mark.parametrize("data", ["tid-population", "video-order", "part-order"])
def test_the_same_photographs_are_held_out_whatever_is_made_of_them(photos, data):
    expected = {frozenset(kept) for kept in held_out("population", photos)}
    assert {frozenset(kept) for kept in held_out(data, photos)} == expected
    assert len(expected) == 1


def test_a_model_of_another_seed_is_not_judged():
    card = Artefact.open(find("nano")).card
    accuracy_sets.check_hold_out(card)
    other = replace(card, recipe={**card.recipe, "more": {**card.recipe["nano-small"], "seed": 1}})
    with pytest.raises(ConfigError, match="seed 1 held other pictures out"):
        accuracy_sets.check_hold_out(other)
