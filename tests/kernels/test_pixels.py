"""Where the kernels take their pixels from, against the samplers that the CPU uses."""

import numpy as np
import pytest
import torch

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.imaging.sampling import fragments, sample, windows
from crossiqa_edge.imaging.yuv import Planes, to_rgb
from crossiqa_edge.kernels.pixels import (
    colour_factors,
    crop_corners,
    fragment_corners,
    normaliser,
    sampled_pixels,
)
from crossiqa_edge.model.quality import Normalise


def frame(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


# The last is narrower than a tile of size 448, so that reflection continues it.
@pytest.mark.parametrize(("height", "width", "size"), [(540, 961, 224), (224, 224, 112), (40, 300, 448)])
@pytest.mark.parametrize("count", [1, 5])
def test_fragments_are_those_of_the_cpu(height, width, size, count):
    picture = frame(height, width)
    corners = fragment_corners(height, width, size, views=count)
    assert (corners.shape, corners.dtype) == ((count, 7, 7, 2), torch.int32)
    pictures = torch.from_numpy(picture).expand(count, -1, -1, -1)
    views = sampled_pixels(pictures, None, None, corners, size // 7)
    assert np.array_equal(views.numpy(), sample(picture, size=size, views=count))


@pytest.mark.parametrize(("height", "width"), [(300, 501), (100, 400), (50, 60)])
def test_windows_are_those_of_the_cpu(height, width):
    picture = frame(height, width)
    pictures = torch.from_numpy(picture).expand(5, -1, -1, -1)
    views = sampled_pixels(pictures, None, None, crop_corners(height, width, 5), 224)
    assert np.array_equal(views.numpy(), windows(picture, 5))


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
def test_nv12_gives_the_code_values_of_the_cpu(matrix, full_range):
    random = np.random.default_rng(0)
    height, width = 63, 95  # odd, so that the last chroma samples stand for one row or column
    luma = random.integers(0, 256, (height, width), dtype=np.uint8)
    chroma = random.integers(0, 256, (32, 48, 2), dtype=np.uint8)
    rgb = to_rgb(Planes(luma, (chroma[..., 0], chroma[..., 1]), matrix, full_range))
    corners = fragment_corners(height, width, 112)
    factors = colour_factors(matrix, full_range)
    view = sampled_pixels(torch.from_numpy(luma)[None], torch.from_numpy(chroma)[None], factors, corners, 16)
    assert np.array_equal(view[0].numpy(), fragments(rgb, size=112))


def test_an_unknown_matrix_is_refused():
    with pytest.raises(ConfigError, match="bt709"):
        colour_factors("bt1886", True)


def test_the_normaliser_is_the_models():
    mean, std = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(1, 16, 16, 3)
    gain, offset = normaliser(mean, std)
    torch.testing.assert_close(pixels * gain + offset, Normalise(mean, std)(pixels).permute(0, 2, 3, 1))
