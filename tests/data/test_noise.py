from __future__ import annotations

import numpy as np
import pytest

from crossiqa_edge.data.degradations import noise
from crossiqa_edge.data.degradations.colourspace import rgb_to_ycbcr
from crossiqa_edge.data.degradations.pixels import to_planes
from crossiqa_edge.imaging.sampling import Frame


def grey(code: int = 128) -> Frame:
    return np.full((160, 160, 3), code, np.uint8)


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_white_noise_has_its_variance() -> None:
    noisy = to_planes(noise.white_noise(grey(), 0.005, generator()))
    assert noisy.var(axis=(1, 2)) == pytest.approx([0.005] * 3, rel=0.05)
    assert abs(np.corrcoef(noisy[0].ravel(), noisy[1].ravel())[0, 1]) < 0.03


def test_colour_noise_has_its_variance_in_studio_range_ycbcr() -> None:
    components = rgb_to_ycbcr(to_planes(noise.white_noise_colour(grey(), 0.001, generator())))
    studio = components.std(axis=(1, 2)) * [219 / 255, 224 / 255, 224 / 255]
    assert studio**2 == pytest.approx([0.001] * 3, rel=0.05)


def test_impulses_have_their_density_and_are_half_and_half() -> None:
    noisy = noise.impulse_noise(grey(), 0.03, generator())
    assert (noisy == 0).mean() == pytest.approx(0.015, rel=0.1)
    assert (noisy == 255).mean() == pytest.approx(0.015, rel=0.1)


def test_multiplicative_noise_grows_with_the_signal() -> None:
    for code in (60, 120):
        noisy = to_planes(noise.multiplicative_noise(grey(code), 0.05, generator()))
        assert noisy.var() == pytest.approx(0.05 * (code / 255) ** 2, rel=0.05)
    assert np.array_equal(noise.multiplicative_noise(grey(0), 0.05, generator()), grey(0))


@pytest.mark.parametrize("variance", [0.01, 0.15])
def test_denoise_removes_the_noise_and_keeps_a_strong_edge(variance: float) -> None:
    picture = grey(80)
    picture[:, 80:] = 180
    denoised = to_planes(noise.denoise(picture, variance, generator()))
    assert denoised[:, :, :70].std() < 0.35 * np.sqrt(variance)
    assert (denoised[:, :, 90:].mean() - denoised[:, :, :70].mean()) * 255 > 60
