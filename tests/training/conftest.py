"""A folder of generated photographs, and recipes small enough for seconds."""

import numpy as np
import pytest
import torch
from PIL import Image

from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.training.distributed import World
from crossiqa_edge.training.recipe import PretrainRecipe


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(6):
        Image.fromarray(photo_like(seed, 112, 128)).save(folder / f"{seed}.png")
    return folder


@pytest.fixture(autouse=True)
def one_thread():
    """The nets here are too small to share: a second thread would only wait for the first."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def alone():
    return World(0, 1, torch.device("cpu"))


@pytest.fixture
def micro():
    """Builds a micro pre-training recipe."""

    def make(**changes):
        values = {
            "name": "micro",
            "size": "micro",
            "view_size": 32,
            "batch": 4,
            "steps": 6,
            "steps_per_epoch": 3,
            "warmup_steps": 2,
            "precision": "fp32",
        }
        return PretrainRecipe(**{**values, **changes})

    return make


@pytest.fixture
def recorded():
    """An observer that keeps the losses of every step."""

    class Recorder(dict[int, float]):
        def __call__(self, step, losses):
            self[step] = losses["total"]

    return Recorder()


@pytest.fixture
def frames():
    return [photo_like(seed, 64, 96) for seed in range(3)]


@pytest.fixture
def generator():
    return np.random.default_rng(0)
