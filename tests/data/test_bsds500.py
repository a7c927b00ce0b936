"""BSDS500's test part: known by name, and kept out of training where a recipe says so."""

import pytest
from PIL import Image

from crossiqa_edge.data.datasets.bsds500 import in_test_part, numbers
from crossiqa_edge.imaging.testpattern import photo_like


def test_the_part_has_two_hundred_pictures():
    assert len(numbers()) == 200
    assert all(number.isdigit() for number in numbers())


@pytest.mark.parametrize("name", ["100007", "b100007", "100007.jpg", "images/test/b100007.webp"])
def test_its_pictures_are_known_by_their_number(name):
    assert in_test_part(name)


@pytest.mark.parametrize("name", ["100075", "b100075.webp", "n01440764", "1000070", "bb100007", ""])
def test_others_are_not(name):
    assert not in_test_part(name)


def test_no_recipe_that_keeps_it_apart_trains_on_it(tmp_path):
    pytest.importorskip("timm", reason="the recipes' mix needs the train extra")
    from crossiqa_edge.training.mix import split_source
    from crossiqa_edge.training.recipe import FinetuneRecipe, Source

    for name in ("b100007", "b100039", "b100075", "photo"):
        Image.fromarray(photo_like(0, 48, 48)).save(tmp_path / f"{name}.png")
    for data in ("population", "tid-population", "video-order", "part-order"):
        source = Source(data, hold_out=0.0)
        recipe = FinetuneRecipe("apart", bsds_test_apart=True, sources=(source,))
        training, held = split_source(source, tmp_path, recipe)
        assert {item.reference for item in training.samples} == {"b100075", "photo"}
        assert {item.reference for item in held.samples} == {"b100007", "b100039"}
