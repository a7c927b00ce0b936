"""Reconstruction by type, on a network that rebuilds exactly what its tokens name."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="the pretext needs the train extra")
pytest.importorskip("timm", reason="the pretext needs the train extra")

import torch

from crossiqa_edge.bench import accuracy_pretext
from crossiqa_edge.data.degradations.registry import every
from crossiqa_edge.errors import CrossIQAError
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.model.reconstruction import Rebuilt
from crossiqa_edge.training.distributed import World
from crossiqa_edge.training.pretrain import pretrain
from crossiqa_edge.training.recipe import PretrainRecipe


class Perfect:
    """Its tokens are the pictures; crossed, it gives what was wanted (right) or the patches' picture."""

    def __init__(self, right):
        self.right = right

    def encode_grid(self, grids):
        return grids.flatten(3).float().unsqueeze(3).repeat(1, 1, 1, 2, 1)

    def cross(self, tokens, side):
        given = tokens if self.right else tokens.flip(2)
        return self._pixels(given[..., 0, :].flatten(0, 2), side)

    def decode(self, patches, classes, side):
        return self._pixels(classes, side)

    def _pixels(self, flat, side):
        return Rebuilt(flat.view(-1, side, side, 3) / 255, torch.empty(0))


@pytest.mark.parametrize(("right", "share"), [(True, 1.0), (False, 0.0)])
def test_who_rebuilds_the_target_is_told_from_who_copies_the_patches(right, share):
    contents = [photo_like(seed, 64, 64) for seed in range(3)]
    kind = next(kind for kind in every("kadid10k") if kind.name == "jpeg")
    found = accuracy_pretext._figures(Perfect(right), contents, kind)
    assert found["nearer"] == share
    assert found["straight"] == 100.0  # 10 log10 of the least error that counts
    assert (found["crossed"] == 100.0) is right


def test_a_run_is_measured_with_its_averaged_decoder(tmp_path, monkeypatch):
    for seed in range(3):
        Image.fromarray(photo_like(seed, 96, 112)).save(tmp_path / f"{seed}.png")
    recipe = PretrainRecipe(
        "micro",
        size="micro",
        view_size=32,
        batch=2,
        steps=2,
        steps_per_epoch=1,
        warmup_steps=1,
        precision="fp32",
    )
    run = tmp_path / "run"
    alone = World(0, 1, torch.device("cpu"))
    pretrain(recipe, tmp_path, run, alone, workers=0)
    module, side = accuracy_pretext.load_pretext(run)
    assert side == 32
    assert not module.training
    kinds = every("kadid10k")[8:10]
    monkeypatch.setattr(accuracy_pretext, "every", lambda family: kinds)
    found = accuracy_pretext.reconstruction(run, sorted(tmp_path.glob("*.png")))
    assert set(found) == {"jpeg2000", "jpeg"}
    assert all(0 < figures["crossed"] < 40 and 0 <= figures["nearer"] <= 1 for figures in found.values())


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(CrossIQAError, match="no such file"):
        accuracy_pretext.load_pretext(tmp_path)


def test_the_middle_is_cut_out():
    picture = np.zeros((20, 40, 3), np.uint8)
    picture[6:14, 16:24] = 255
    assert (accuracy_pretext._middle(picture, 8) == 255).all()
