import subprocess

import pytest
from PIL import Image

from crossiqa_edge.bench.cold_start import cold_starts
from crossiqa_edge.imaging.testpattern import photo_like


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(photo_like(0, 64, 64)).save(path)
    return str(path)


def test_gives_a_time_for_each_run_but_the_first(photo, tiny_onnx):
    seconds = cold_starts([photo, "--model", str(tiny_onnx)], runs=2)
    assert len(seconds) == 2
    assert min(seconds) > 0.05  # an interpreter with NumPy cannot start faster


def test_a_failure_is_no_fast_run(tiny_onnx):
    with pytest.raises(subprocess.CalledProcessError):
        cold_starts(["no-such.png", "--model", str(tiny_onnx)], runs=1)
