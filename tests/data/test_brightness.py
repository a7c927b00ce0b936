from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from crossiqa_edge.data.degradations import brightness
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.imaging.testpattern import photo_like

NOT_USED = np.random.default_rng(0)


def grey(code: int) -> Frame:
    return np.full((32, 32, 3), code, np.uint8)


def test_tone_curve_passes_its_points_and_is_clipped() -> None:
    curve = brightness.tone_curve((0.25, 0.5, 0.75), (0.1, 0.5, 0.9))
    assert curve(np.array([0, 0.25, 0.5, 0.75, 1])) == pytest.approx([0, 0.1, 0.5, 0.9, 1], abs=1e-6)
    steep = brightness.tone_curve((0.5,), (1.05,))
    assert steep(np.linspace(0, 1, 50)).max() == 1


@pytest.mark.parametrize("amount", [0.1, 0.4])
def test_brighten_and_darken_move_mid_grey(amount: float) -> None:
    lighter = brightness.brighten(grey(128), amount, NOT_USED)[0, 0]
    darker = brightness.darken(grey(128), amount, NOT_USED)[0, 0]
    rgb_step = 255 * amount / 2
    assert all(0.85 * rgb_step < lighter.astype(float) - 128) and all(
        lighter.astype(float) - 128 < 1.2 * rgb_step
    )
    assert all(darker < 128 - 0.85 * rgb_step)
    assert np.array_equal(brightness.brighten(grey(0), amount, NOT_USED), grey(0))
    assert np.array_equal(brightness.darken(grey(255), amount, NOT_USED), grey(255))


def test_mean_shift_is_a_clipped_sum() -> None:
    picture = photo_like(0, 32, 40)
    shifted = brightness.mean_shift(picture, -0.15, NOT_USED)
    expected = np.clip(picture.astype(float) - 0.15 * 255, 0, 255)
    assert np.abs(shifted - expected).max() <= 0.5


def test_contrast_change_spreads_above_zero_and_flattens_below() -> None:
    picture = photo_like(1, 64, 64)
    deviations = [brightness.contrast_change(picture, amount, NOT_USED).std() for amount in (0.3, 0, -0.6)]
    assert deviations[0] > picture.std() > deviations[2]
    assert deviations[1] == picture.std()


def test_quantization_leaves_one_value_a_class() -> None:
    picture = photo_like(3, 96, 96)
    coarse = brightness.quantization(picture, 7, NOT_USED)
    values = np.unique(coarse)
    assert values.size == 8
    assert (values[0], values[-1]) == (0, 255)
    order = np.argsort(picture.ravel(), kind="stable")
    assert (np.diff(coarse.ravel()[order].astype(int)) >= 0).all()


def test_quantization_cuts_where_the_classes_vary_least() -> None:
    picture = photo_like(3, 96, 96) // 2 * 2
    values, counts = np.unique(picture, return_counts=True)

    def spread(cuts: tuple[int, ...]) -> float:
        classes = np.split(np.arange(values.size), cuts)
        means = [np.average(values[each], weights=counts[each]) for each in classes]
        squares = [
            counts[each] @ (values[each] - mean) ** 2 for each, mean in zip(classes, means, strict=True)
        ]
        return float(sum(squares))

    best = min(combinations(range(1, values.size, 4), 2), key=spread)
    coarse = brightness.quantization(picture, 2, NOT_USED)
    codes = [int(coarse[picture == value][0]) for value in values]
    chosen = tuple(int(place) + 1 for place in np.flatnonzero(np.diff(codes)))
    assert spread(chosen) <= 1.02 * spread(best)
