from __future__ import annotations

import colorsys

import numpy as np
import pytest
from PIL import Image

from crossiqa_edge.data.degradations import colour
from crossiqa_edge.data.degradations.colourspace import rgb_to_lab
from crossiqa_edge.data.fidelity import psnr
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.imaging.testpattern import photo_like


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def picture() -> Frame:
    return photo_like(4, 96, 112)


def test_hsv_saturation_is_scaled(picture: Frame) -> None:
    pixels = picture[::16, ::16].reshape(-1, 3)
    pale = colour.colour_saturation_1(picture, 0.4, generator())[::16, ::16].reshape(-1, 3)
    for before, after in zip(pixels, pale, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(before / 255))
        assert after / 255 == pytest.approx(
            colorsys.hsv_to_rgb(hue, 0.4 * saturation, value), abs=0.5 / 255 + 1e-6
        )


def test_no_saturation_is_grey_and_negative_turns_the_hue() -> None:
    red = np.full((32, 32, 3), (150, 50, 50), np.uint8)
    assert colour.colour_saturation_1(red, 0, generator())[0, 0].tolist() == [150, 150, 150]
    assert colour.colour_saturation_1(red, -0.4, generator())[0, 0].tolist() == [150, 190, 190]


def test_lab_saturation_keeps_lightness_in_the_gamut() -> None:
    dull = np.full((32, 32, 3), (120, 110, 105), np.uint8)
    vivid = colour.colour_saturation_2(dull, 3, generator())
    before, after = (rgb_to_lab(frame)[:, 0, 0] for frame in (dull, vivid))
    assert after == pytest.approx(before * [1, 3, 3], abs=0.7)


def test_diffusion_blurs_colour_but_not_lightness() -> None:
    stripes = np.full((64, 64, 3), (118, 118, 118), np.uint8)
    stripes[:, ::2] = (150, 100, 110)
    before, after = rgb_to_lab(stripes), rgb_to_lab(colour.colour_diffusion(stripes, 1, generator()))
    assert after[1].std() < 0.1 * before[1].std()
    assert after[0] == pytest.approx(before[0], abs=0.7)


def test_shift_moves_green_only_and_at_edges_only() -> None:
    picture = np.full((96, 96, 3), 60, np.uint8)
    picture[:, 48:] = 200
    picture[48:, :] //= 2
    shifted = colour.colour_shift(picture, 8, generator())
    assert np.array_equal(shifted[..., 0], picture[..., 0]) and np.array_equal(
        shifted[..., 2], picture[..., 2]
    )
    changed = np.argwhere(shifted[..., 1] != picture[..., 1])
    assert len(changed) > 100
    assert (np.abs(changed - 48).min(axis=1) < 24).all()


def test_translate() -> None:
    plane = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert colour.translate(plane, 1, -2).tolist() == [[2, 3, 3, 2], [2, 3, 3, 2], [6, 7, 7, 6]]


@pytest.mark.parametrize("colours", [64, 8])
def test_palette_is_small_and_better_than_median_cut(picture: Frame, colours: int) -> None:
    reduced = colour.colour_quantization(picture, colours, generator())
    assert len(np.unique(reduced.reshape(-1, 3), axis=0)) <= colours
    rival = Image.fromarray(picture).quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    assert psnr(picture, reduced) > psnr(picture, np.array(rival.convert("RGB"))) + 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1)])
def test_a_single_row_or_column_has_edges_along_it_alone(shape: tuple[int, int]) -> None:
    flat = np.full((*shape, 3), 90, np.uint8)
    assert np.array_equal(colour.colour_shift(flat, 12, generator()), flat)
    noise = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    changed = (colour.colour_shift(noise, 12, generator()) != noise).any()
    assert changed == (max(shape) > 1)
