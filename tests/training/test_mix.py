"""What of a set is trained on and what is held out."""

import numpy as np
import pytest
from PIL import Image

from crossiqa_edge.training.mix import split_source
from crossiqa_edge.training.recipe import FinetuneRecipe, Source


@pytest.fixture
def folder(tmp_path):
    for index in range(20):
        Image.fromarray(np.full((8, 8, 3), index, np.uint8)).save(tmp_path / f"{index}.png")
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
