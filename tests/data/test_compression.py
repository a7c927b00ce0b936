from __future__ import annotations

import numpy as np
import pytest

from crossiqa_edge.data.degradations.compression import jpeg, jpeg2000
from crossiqa_edge.data.fidelity import psnr
from crossiqa_edge.imaging.testpattern import photo_like

NOT_USED = np.random.default_rng(0)


def test_jpeg_quantises_8_x_8_blocks() -> None:
    picture = photo_like(0, 96, 96)
    luma = jpeg(picture, 4, NOT_USED).astype(float).mean(axis=2)
    steps = np.abs(np.diff(luma, axis=1)).mean(axis=0)
    at_borders = steps[7::8].mean()
    assert at_borders > 3 * np.delete(steps, np.s_[7::8]).mean()


def test_jpeg2000_does_not_block_and_beats_jpeg_at_high_ratios() -> None:
    picture = photo_like(0, 192, 192)
    damaged = jpeg2000(picture, 32, NOT_USED)
    steps = np.abs(np.diff(damaged.astype(float).mean(axis=2), axis=1)).mean(axis=0)
    assert steps[7::8].mean() < 1.3 * np.delete(steps, np.s_[7::8]).mean()
    assert psnr(picture, damaged) > psnr(picture, jpeg(picture, 7, NOT_USED))


def test_jpeg2000_transforms_colour_so_that_grey_costs_one_channel() -> None:
    grey = photo_like(0, 128, 128)[..., 1:2].repeat(3, axis=2)
    assert psnr(grey, jpeg2000(grey, 16, NOT_USED)) > 33


@pytest.mark.parametrize("ratio", [16, 400])
def test_jpeg2000_takes_the_smallest_pictures(ratio: float) -> None:
    picture = photo_like(0, 32, 33)
    assert jpeg2000(picture, ratio, NOT_USED).shape == picture.shape
