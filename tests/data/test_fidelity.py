from __future__ import annotations

import math

import numpy as np
import pytest

from crossiqa_edge.data.fidelity import coarse_psnr, psnr, ssim
from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.imaging.testpattern import photo_like


def flat(code: int) -> Frame:
    return np.full((24, 24, 3), code, np.uint8)


def test_equal_pictures() -> None:
    picture = photo_like(0, 40, 48)
    assert psnr(picture, picture) == math.inf
    assert ssim(picture, picture) == pytest.approx(1, abs=1e-9)


def test_psnr_of_a_known_error() -> None:
    assert psnr(flat(100), flat(110)) == pytest.approx(20 * math.log10(25.5))
    assert psnr(flat(110), flat(100)) == psnr(flat(100), flat(110))


def test_psnr_does_not_wrap_bytes_around() -> None:
    assert psnr(flat(0), flat(255)) == pytest.approx(0)


def test_ssim_of_flat_pictures_is_the_luminance_term() -> None:
    c1 = 2.55**2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert ssim(flat(100), flat(150)) == pytest.approx(expected, rel=1e-4)


def test_ssim_of_an_inverted_texture_is_negative() -> None:
    picture = np.random.default_rng(0).integers(60, 196, (40, 40, 1), np.uint8).repeat(3, axis=2)
    assert ssim(picture, 255 - picture) < -0.5


def test_coarse_psnr_sees_block_means_only() -> None:
    picture, swapped = flat(100), flat(100)
    picture[::2], swapped[1::2] = 140, 140
    assert psnr(picture, swapped) == pytest.approx(20 * math.log10(255 / 40))
    assert coarse_psnr(picture, swapped) == math.inf
    assert coarse_psnr(flat(100), flat(110)) == pytest.approx(20 * math.log10(25.5))


def test_refusals() -> None:
    with pytest.raises(InputError, match="cannot be compared"):
        psnr(flat(1), flat(1)[:-1])
    with pytest.raises(InputError, match="at least 11"):
        ssim(flat(1)[:8], flat(1)[:8])
