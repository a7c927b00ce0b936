"""The ways into other people's packages, against stand-ins that behave as those packages do today."""

import sys

import numpy as np
import pytest

from crossiqa_edge.bench import peer_metrics

PYIQA = """
import torch

def list_models(metric_mode):
    assert metric_mode == "NR"
    return ["brightness", "darkness"]

class Metric:
    def __init__(self, lower_better):
        self.lower_better = lower_better

    def __call__(self, picture):
        assert picture.shape == (1, 3, 4, 6) and picture.dtype == torch.float32
        return (1 - picture if self.lower_better else picture)[:, 0].mean().reshape(1, 1)

def create_metric(name):
    return Metric(name == "darkness")
"""


BRISQUE = """
class BRISQUE:
    def __init__(self, url):
        assert not url

    def scale_features(self, features):
        return [2.0 * float(feature) for feature in features]

    def score(self, picture):
        (value,) = self.scale_features([picture.mean().reshape(1)])
        return value
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """``stand_in(path, text)``: a module of somebody else's, gone after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(path, text):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    yield write
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("basicsr", "brisque", "pypiqe", "pyiqa"):
            del sys.modules[name]


def test_niqe_is_reached_past_a_package_that_does_not_import(stand_in):
    stand_in("basicsr/__init__.py", "raise ImportError('torchvision has changed')")
    stand_in("basicsr/metrics/__init__.py", "from basicsr.blue import weight")
    stand_in("basicsr/blue.py", "weight = 2.0")
    stand_in(
        "basicsr/metrics/niqe.py",
        "from basicsr.metrics import weight\n"
        "def calculate_niqe(picture, crop_border):\n"
        "    assert crop_border == 0\n"
        "    return weight * picture[..., 0].mean()\n",
    )
    frame = np.zeros((4, 6, 3), np.uint8)
    frame[..., 2] = 50  # blue, which is first in BGR
    assert peer_metrics.niqe()(frame) == -100.0
    assert not any(name.split(".")[0] == "basicsr" for name in sys.modules)


def test_what_brisque_and_piqe_call_worse_is_lower(stand_in):
    stand_in("brisque.py", BRISQUE)
    stand_in("pypiqe.py", "def piqe(picture):\n    return picture.mean(), None, None")
    frame = np.full((4, 6, 3), 50, np.uint8)
    assert (peer_metrics.brisque()(frame), peer_metrics.piqe()(frame)) == (-100.0, -50.0)


def test_a_package_that_is_no_package_is_an_import_error(stand_in):
    stand_in("basicsr.py", "")
    with pytest.raises(ImportError, match="no package basicsr"):
        peer_metrics.niqe()


@pytest.mark.parametrize("name", ["brightness", "darkness"])
def test_a_metric_of_pyiqa_takes_a_picture_of_0_to_1_and_higher_is_better(stand_in, name):
    pytest.importorskip("torch")
    stand_in("pyiqa.py", PYIQA)
    metric = peer_metrics.pyiqa_network(name)
    dark, bright = (np.full((4, 6, 3), level, np.uint8) for level in (51, 204))
    assert metric(bright) - metric(dark) == pytest.approx(0.6)


@pytest.mark.parametrize("build", [peer_metrics.brisque, peer_metrics.niqe, peer_metrics.piqe])
def test_noise_is_worse_where_the_real_package_is_here(build):
    """None of them comes with our extras, so this runs only where somebody has installed them."""
    try:
        metric = build()
    except ImportError as error:
        pytest.skip(str(error))
    from crossiqa_edge.bench.probe import PICTURES
    from crossiqa_edge.imaging.decode import decode

    photo = decode(PICTURES / "coffee.webp")
    noise = np.random.default_rng(0).normal(0, 25, photo.shape)
    assert metric(np.clip(photo + noise, 0, 255).astype(np.uint8)) < metric(photo) - 1
