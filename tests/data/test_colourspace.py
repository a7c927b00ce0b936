from __future__ import annotations

import numpy as np
import pytest

from crossiqa_edge.data.degradations.colourspace import lab_to_rgb, rgb_to_lab, rgb_to_ycbcr, ycbcr_to_rgb
from crossiqa_edge.data.degradations.pixels import to_bytes, to_planes
from crossiqa_edge.imaging.sampling import Frame


def pixel(red: int, green: int, blue: int) -> Frame:
    return np.array([[[red, green, blue]]], np.uint8)


@pytest.fixture(scope="module")
def colour_cube() -> Frame:
    """(256, 144, 3): every 8th code of each channel and the last, 33^3 colours and some padding."""
    codes = np.append(np.arange(0, 256, 8), 255).astype(np.uint8)
    colours = np.stack(np.meshgrid(codes, codes, codes), axis=-1).reshape(-1, 3)
    return np.resize(colours, (256, 144, 3))


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((255, 255, 255), (100.0, 0.0, 0.0)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0.0, 0.0)),
    ],
)
def test_lab_of_the_primaries_under_d65(rgb: tuple[int, int, int], lab: tuple[float, float, float]) -> None:
    assert rgb_to_lab(pixel(*rgb))[:, 0, 0] == pytest.approx(lab, abs=0.03)


def test_lab_and_back_is_exact_for_bytes(colour_cube: Frame) -> None:
    assert np.array_equal(lab_to_rgb(rgb_to_lab(colour_cube)), colour_cube)


def test_lab_outside_the_gamut_is_clipped() -> None:
    lab = np.array([60.0, 300.0, 0.0], np.float32).reshape(3, 1, 1)
    red, green, _ = lab_to_rgb(lab)[0, 0]
    assert (red, green) == (255, 0)


@pytest.mark.parametrize(
    ("rgb", "ycbcr"),
    [
        ((255, 255, 255), (1.0, 0.0, 0.0)),
        ((0, 0, 255), (0.114, 0.5, -0.0813)),
        ((255, 0, 0), (0.299, -0.1687, 0.5)),
    ],
)
def test_ycbcr_is_full_range_bt601(rgb: tuple[int, int, int], ycbcr: tuple[float, float, float]) -> None:
    assert rgb_to_ycbcr(to_planes(pixel(*rgb)))[:, 0, 0] == pytest.approx(ycbcr, abs=1e-4)


def test_ycbcr_and_back_is_exact_for_bytes(colour_cube: Frame) -> None:
    assert np.array_equal(to_bytes(ycbcr_to_rgb(rgb_to_ycbcr(to_planes(colour_cube)))), colour_cube)
