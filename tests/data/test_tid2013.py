"""TID2013's rebuildable types: against their definitions, and on Kodak against figures of the release."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from crossiqa_edge.data.datasets.tid_crops import CORNERS, tid_reference
from crossiqa_edge.data.degradations import LEVELS, Degradation, every, get
from crossiqa_edge.data.degradations.psnr_search import MOST_STEPS, at_psnr
from crossiqa_edge.data.fidelity import psnr
from crossiqa_edge.errors import DatasetError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.imaging.testpattern import photo_like

TYPES = every("tid2013")
each_type = pytest.mark.parametrize("degradation", TYPES, ids=lambda item: item.name)
LUMA = np.array([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def pictures() -> list[Frame]:
    return [photo_like(seed, 160, 208) for seed in range(3)]


def mean_psnr(degradation: Degradation, pictures: list[Frame]) -> list[float]:
    def mean(level: int) -> float:
        return float(np.mean([psnr(item, degradation(item, level, i)) for i, item in enumerate(pictures)]))

    return [mean(level) for level in range(1, LEVELS + 1)]


@each_type
def test_psnr_falls_strictly_with_the_level(degradation: Degradation, pictures: list[Frame]) -> None:
    values = mean_psnr(degradation, pictures)
    assert all(milder > harsher for milder, harsher in pairwise(values)), values


@pytest.mark.parametrize(
    "item", [item for item in TYPES if "PSNR" in item.parameter_name], ids=lambda i: i.name
)
def test_a_type_set_by_psnr_meets_it(item: Degradation, pictures: list[Frame]) -> None:
    for level, target in enumerate(item.parameters, 1):
        assert psnr(pictures[0], item(pictures[0], level)) == pytest.approx(target, abs=0.5)


@each_type
@pytest.mark.parametrize("shape", [(32, 32), (33, 61)])
def test_pure_seeded_and_of_the_same_shape(degradation: Degradation, shape: tuple[int, int]) -> None:
    picture = photo_like(5, *shape)
    before = picture.copy()
    for level in (1, 5):
        damaged = degradation(picture, level, seed=3)
        assert (damaged.shape, damaged.dtype) == (picture.shape, np.uint8)
        assert np.array_equal(damaged, degradation(picture, level, seed=3))
        assert np.array_equal(picture, before)


@pytest.mark.parametrize("name", ["white_noise", "colour_noise", "impulse_noise", "multiplicative_noise"])
def test_noise_differs_with_the_seed(name: str, pictures: list[Frame]) -> None:
    kind = get(f"tid_{name}")
    assert not np.array_equal(kind(pictures[0], 1, 0), kind(pictures[0], 1, 1))


def error_on_grey(name: str, level: int) -> np.ndarray:
    grey = np.full((128, 128, 3), 128, np.uint8)
    return get(name)(grey, level).astype(float) - 128


def test_noise_has_the_variance_asked_for() -> None:
    for name in ("white_noise", "correlated_noise"):
        assert error_on_grey(f"tid_{name}", 3).var() == pytest.approx(130, rel=0.04)


def test_colour_noise_is_four_times_as_strong_in_chroma() -> None:
    error = error_on_grey("tid_colour_noise", 3)
    luma = error @ LUMA
    blueness = (error[..., 2] - luma) / 1.772
    assert luma.var() == pytest.approx(14.5, rel=0.06)
    assert blueness.var() == pytest.approx(4 * 14.5, rel=0.06)


def test_correlated_and_high_frequency_noise_lean_to_opposite_sides() -> None:
    def neighbours(name: str) -> float:
        error = error_on_grey(name, 3)[..., 0]
        return float(np.corrcoef(error[:, 1:].ravel(), error[:, :-1].ravel())[0, 1])

    assert neighbours("tid_correlated_noise") == pytest.approx(2 / 3, abs=0.05)
    assert abs(neighbours("tid_white_noise")) < 0.03
    assert neighbours("tid_high_frequency_noise") < -0.1


def test_impulses_take_any_value() -> None:
    error = error_on_grey("tid_impulse_noise", 5)
    hit = error[error != 0]
    assert hit.size / error.size == pytest.approx(0.0683, rel=0.08)
    assert np.ptp(hit) > 250
    assert len(np.unique(hit)) > 200


def test_blur_darkens_the_border() -> None:
    blurred = get("tid_gaussian_blur")(np.full((40, 40, 3), 200, np.uint8), 5)
    assert (blurred[5:-5, 5:-5] == 200).all()
    assert blurred[0, 20, 0] < 125


def test_desaturation_keeps_luma(pictures: list[Frame]) -> None:
    changed = get("tid_desaturation")(pictures[0], 4)
    assert np.abs(changed @ LUMA - pictures[0] @ LUMA).mean() < 0.5


def test_the_number_of_colours_falls(pictures: list[Frame]) -> None:
    counts = [
        len(np.unique(get("tid_dithered_colours")(pictures[0], n).reshape(-1, 3), axis=0)) for n in (1, 3, 5)
    ]
    assert 256 >= counts[0] > counts[1] > counts[2] >= 2


def test_the_search_takes_the_nearer_end_where_the_target_is_out_of_reach(pictures: list[Frame]) -> None:
    grey = np.full((64, 64, 3), 90, np.uint8)
    assert np.array_equal(get("tid_desaturation")(grey, 5), grey)
    calls = []

    def shifted(strength: float) -> Frame:
        calls.append(strength)
        return grey + np.uint8(round(2**strength))

    nearest = at_psnr(grey, shifted, 10.0, 0, 5)
    assert nearest[0, 0, 0] == 90 + 32
    assert len(calls) == MOST_STEPS


def test_a_crop_needs_a_kodak_picture_whose_crop_is_known() -> None:
    for top, left in CORNERS.values():
        assert 0 <= top <= 384
        assert 0 <= left <= 256
    with pytest.raises(DatasetError, match="reference 17"):
        tid_reference(np.zeros((512, 768, 3), np.uint8), 17)
    with pytest.raises(DatasetError, match="512 x 384 pixels"):
        tid_reference(np.zeros((384, 512, 3), np.uint8), 1)


# PSNR over R, G and B that TID2013 publishes for the five levels of these types.
RELEASED = {
    (1, "tid_gaussian_blur"): (34.0126, 29.1857, 25.3369, 22.8195, 21.0833),
    (10, "tid_gaussian_blur"): (38.5369, 33.6541, 29.5274, 26.4339, 23.9303),
    (2, "tid_quantization"): (33.2123, 31.3370, 26.7293, 24.0312, 21.2105),
    (2, "tid_mean_shift"): (32.5881, 28.1368, 22.2260, 18.6024, 16.9369),
    (4, "tid_jpeg"): (37.0516, 35.0147, 31.9551, 28.2346, 22.8717),
    (3, "tid_contrast"): (34.0130, 29.3159, 26.0376, 23.2872, 20.0212),
}


@pytest.fixture(scope="session")
def kodak() -> Path:
    folder = Path(os.environ.get("CROSSIQA_KODAK", "none"))
    if not (folder / "kodim01.png").is_file():
        pytest.skip("CROSSIQA_KODAK names no folder with the Kodak pictures")
    return folder


@pytest.mark.needs_data
@pytest.mark.parametrize(("number", "name"), RELEASED)
def test_kodak_gives_the_figures_of_the_release(kodak: Path, number: int, name: str) -> None:
    original = tid_reference(decode(kodak / f"kodim{number:02d}.png"), number)
    measured = [psnr(original, get(name)(original, level)) for level in range(1, 6)]
    assert measured == pytest.approx(RELEASED[number, name], abs=2e-4)  # to the last digit given


@pytest.mark.needs_data
@each_type
def test_psnr_falls_strictly_over_kodak(kodak: Path, degradation: Degradation) -> None:
    originals = [tid_reference(decode(kodak / f"kodim{n:02d}.png"), n)[128:256, 128:320] for n in CORNERS]
    values = mean_psnr(degradation, originals)
    assert all(milder > harsher for milder, harsher in pairwise(values)), values
