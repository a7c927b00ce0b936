from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from crossiqa_edge.data.degradations.blur import convolve, disk_kernel, gaussian_kernel, line_kernel
from crossiqa_edge.data.degradations.pixels import to_planes
from crossiqa_edge.imaging.testpattern import photo_like


@pytest.mark.parametrize("shape", [(32, 32), (45, 70)])
@pytest.mark.parametrize("side", [3, 9, 67])
def test_convolution_is_that_of_the_definition(shape: tuple[int, int], side: int) -> None:
    planes = to_planes(photo_like(1, *shape))
    kernel = np.random.default_rng(0).random((side, side), np.float32)
    kernel /= kernel.sum()
    expected = np.stack([ndimage.convolve(plane, kernel, mode="reflect") for plane in planes])
    assert convolve(planes, kernel) == pytest.approx(expected, abs=2e-5)


def test_gaussian_kernel_has_its_sigma() -> None:
    kernel = gaussian_kernel(2.5)
    offsets = np.arange(kernel.shape[0]) - kernel.shape[0] // 2
    variance = float((kernel.sum(axis=0) * offsets**2).sum())
    assert math.sqrt(variance) == pytest.approx(2.5, rel=0.02)


@pytest.mark.parametrize("radius", [1, 2, 4, 8])
def test_disk_covers_its_area_evenly(radius: int) -> None:
    kernel = disk_kernel(radius)
    assert kernel.sum() == pytest.approx(1, rel=1e-5)
    assert 1 / kernel.max() == pytest.approx(math.pi * radius**2, rel=0.02)


def test_line_kernels() -> None:
    assert line_kernel(1, 0.7).tolist() == [[1.0]]
    assert line_kernel(2, 0.0)[1] == pytest.approx([0.25, 0.5, 0.25])
    assert line_kernel(9, math.pi / 2) == pytest.approx(line_kernel(9, 0.0).T, abs=1e-6)
    slanted = line_kernel(9, math.pi / 4)
    assert slanted[1, 1] > 0.05 and slanted[1, -2] == 0
