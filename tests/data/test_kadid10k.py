from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossiqa_edge.data.degradations import LEVELS, Degradation, every, get
from crossiqa_edge.data.fidelity import MEASURES
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.imaging.testpattern import photo_like

TYPES = every("kadid10k")
each_type = pytest.mark.parametrize("degradation", TYPES, ids=lambda item: item.name)

# What the publication calls the unchanged picture, and what byte rounding leaves unchanged.
UNCHANGED_AT_LEVEL_1 = {
    "gaussian_blur",
    "motion_blur",
    "colour_saturation_2",
    "mean_shift",
    "contrast_change",
}


@pytest.fixture(scope="module")
def pictures() -> list[Frame]:
    return [photo_like(seed, 192, 256) for seed in range(4)]


def fidelity_by_level(degradation: Degradation, pictures: list[Frame], seed: int = 0) -> list[float]:
    measure = MEASURES[degradation.measure]

    def mean(level: int) -> float:
        return float(np.mean([measure(p, degradation(p, level, seed + i)) for i, p in enumerate(pictures)]))

    return [mean(level) for level in range(1, LEVELS + 1)]


def test_all_25_types_in_published_order() -> None:
    assert [item.number for item in TYPES] == list(range(1, 26))


@each_type
def test_published_levels_are_a_permutation_that_sorts_the_parameters(degradation: Degradation) -> None:
    assert sorted(degradation.published_levels) == [1, 2, 3, 4, 5]
    published = [degradation.parameters[degradation.published_levels.index(level)] for level in range(1, 6)]
    assert published in (sorted(published), sorted(published, reverse=True))


@each_type
@pytest.mark.parametrize("seed", [0, 7])
def test_fidelity_falls_strictly_with_the_level(
    degradation: Degradation, pictures: list[Frame], seed: int
) -> None:
    values = fidelity_by_level(degradation, pictures, seed)
    assert all(milder > harsher for milder, harsher in pairwise(values)), values


@each_type
def test_only_known_types_leave_the_picture_unchanged_at_level_1(
    degradation: Degradation, pictures: list[Frame]
) -> None:
    unchanged = np.array_equal(degradation(pictures[0], 1), pictures[0])
    assert unchanged == (degradation.name in UNCHANGED_AT_LEVEL_1)


@each_type
@pytest.mark.parametrize("shape", [(32, 32), (33, 61), (120, 40)])
def test_pure_seeded_and_of_the_same_shape(degradation: Degradation, shape: tuple[int, int]) -> None:
    picture = photo_like(5, *shape)
    before = picture.copy()
    for level in (1, 5):
        damaged = degradation(picture, level, seed=3)
        assert damaged.shape == picture.shape
        assert damaged.dtype == np.uint8
        assert np.array_equal(picture, before)
        assert np.array_equal(damaged, degradation(picture, level, seed=3))
    assert not np.array_equal(degradation(picture, 5), picture)


@each_type
@pytest.mark.parametrize("code", [0, 255])
def test_flat_pictures_pass(degradation: Degradation, code: int) -> None:
    flat = np.full((40, 48, 3), code, np.uint8)
    assert degradation(flat, 3).shape == flat.shape


@pytest.mark.parametrize(
    "name", ["motion_blur", "colour_shift", "white_noise", "jitter", "non_eccentricity_patch", "colour_block"]
)
def test_another_seed_is_another_picture(name: str, pictures: list[Frame]) -> None:
    degradation = next(item for item in TYPES if item.name == name)
    assert not np.array_equal(degradation(pictures[0], 4, seed=0), degradation(pictures[0], 4, seed=1))


@pytest.mark.needs_data
@each_type
def test_fidelity_falls_strictly_on_photographs(degradation: Degradation, kodak: list[Frame]) -> None:
    values = fidelity_by_level(degradation, kodak)
    assert all(milder > harsher for milder, harsher in pairwise(values)), values


@pytest.fixture(scope="module")
def kodak() -> list[Frame]:
    folder = os.environ.get("CROSSIQA_KODAK")
    if not folder:
        pytest.skip("CROSSIQA_KODAK does not name a folder of the Kodak pictures")
    return [
        np.array(Image.open(path).convert("RGB")) for path in sorted(Path(folder).glob("kodim*.png"))[:16]
    ]


def test_levels_brighten_darken_and_saturate_as_their_names_say(pictures: list[Frame]) -> None:
    def changes(name: str, figure: Callable[[Frame], float]) -> list[float]:
        shown = pictures[0]
        return [figure(get(name)(shown, level)) - figure(shown) for level in range(1, LEVELS + 1)]

    def spread(shown: Frame) -> float:
        return float(np.ptp(shown.astype(int), axis=2).mean())

    assert min(changes("brighten", np.mean)) > 0 > max(changes("darken", np.mean))
    assert min(changes("colour_saturation_2", spread)[1:]) > 0 > changes("colour_saturation_1", spread)[2]
