"""What of a set is trained on and what is held out."""

import numpy as np
import pytest
from PIL import Image

from crossiqa_edge.card import ModelCard
from crossiqa_edge.training import mix
from crossiqa_edge.training.mix import split_source
from crossiqa_edge.training.recipe import FinetuneRecipe, Source


@pytest.fixture
def folder(tmp_path):
    for index in range(20):
        Image.fromarray(np.full((32, 32, 3), index, np.uint8)).save(tmp_path / f"{index}.png")
    lines = ["file,mos", *(f"{index}.png,{index}" for index in range(20))]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    return tmp_path


def split(folder, **changes):
    source = Source("folder", hold_out=0.25, **changes)
    parts = split_source(source, folder, FinetuneRecipe("some", sources=(source,)))
    return tuple({sample.reference for sample in part.samples} for part in parts)


def test_what_shows_a_held_out_picture_is_not_trained_on_and_not_judged(folder):
    training, held = split(folder)
    assert len(held) == 5
    shown, twin, other = min(held), *sorted(training)[:2]
    for names in ([shown, twin], [twin, shown]):
        assert split(folder, doubles=(names, ["none", "nowhere"])) == (training - {twin}, held)
    # two that are trained on, and two that are held out, stay where they are
    assert split(folder, doubles=([twin, other], sorted(held)[:2])) == (training, held)
    # through another
    assert split(folder, doubles=([other, twin], [shown, twin])) == (training - {twin, other}, held)


def test_a_large_held_out_set_is_thinned_by_the_seed(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(mix, "_LARGEST_VALIDATION", 5)
    source = Source("folder", hold_out_references=tuple(f"{index}.png" for index in range(15)))

    def kept(seed):
        recipe = FinetuneRecipe("some", view_size=32, seed=seed, sources=(source,))
        (validation,) = mix.open_mix(recipe, {"folder": folder}, tmp_path / "cache").validations
        assert validation.views[:, 0, 0, 0, 0].tolist() == [round(100 * x) for x in validation.opinions]
        return validation.opinions.tolist()

    assert len(kept(0)) == 5 and kept(0) == kept(0) == sorted(kept(0))
    assert len({tuple(kept(seed)) for seed in range(4)}) == 4


def test_of_a_model_tuned_twice_the_last_tuning_says_what_was_held_out(folder):
    source = Source("folder", hold_out=0.25)
    recipes = [FinetuneRecipe(f"tuning-{seed}", seed=seed, sources=(source,)) for seed in (0, 1)]
    held = [
        {item.reference for item in split_source(source, folder, recipe)[1].samples} for recipe in recipes
    ]
    assert held[0] != held[1]
    whole = mix.open_source(source, folder)
    card = ModelCard(
        "twice",
        "micro",
        training_data=(f"{whole.name}, 15 references",),
        recipe={recipe.name: recipe.to_dict() for recipe in recipes},
    )
    _, found = mix.parts_learnt_from(card, "folder", whole)
    assert {item.reference for item in found.samples} == held[1]
