"""The made-up photographs have what makes photographs hard: spectrum, edges, correlated colours."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from crossiqa_edge.imaging.testpattern import photo_like

SEEDS = range(6)


def test_same_arguments_same_picture_and_other_seeds_differ() -> None:
    first = photo_like(1, 96, 128)
    assert (first.shape, first.dtype) == ((96, 128, 3), np.uint8)
    np.testing.assert_array_equal(first, photo_like(1, 96, 128))
    assert np.abs(first.astype(int) - photo_like(2, 96, 128)).mean() > 10


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (8, 8), (33, 32), (20, 400)])
def test_any_shape(shape: tuple[int, int]) -> None:
    assert photo_like(0, *shape).shape == (*shape, 3)


def test_amplitude_spectrum_falls_as_one_over_f() -> None:
    window = np.outer(np.hanning(256), np.hanning(256))
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None])
    band = (frequency > 0.02) & (frequency < 0.4)
    slopes = []
    for seed in SEEDS:
        grey = photo_like(seed, 256, 256).mean(2)
        amplitude = np.abs(np.fft.fft2((grey - grey.mean()) * window))
        slopes.append(np.polyfit(np.log(frequency[band]), np.log(amplitude[band]), 1)[0])
    assert -1.4 < np.mean(slopes) < -0.6  # natural scenes: -0.8 to -1.5 (Tolhurst et al., 1992)


def test_levels_and_neighbours_are_those_of_a_photograph() -> None:
    """Bounds around what Kodak's photographs measure: neighbours differ by 0.19 to 0.26 of the variance."""
    for seed in SEEDS:
        picture = photo_like(seed, 256, 256)
        grey = picture.mean(2)
        assert 70 < grey.mean() < 190
        assert 25 < grey.std() < 80
        assert (picture == 255).mean() + (picture == 0).mean() < 0.05
        assert 0.12 < (np.diff(grey, axis=1) ** 2).mean() / grey.var() < 0.35


def test_colours_are_correlated_and_differ_between_objects() -> None:
    pictures = [photo_like(seed, 256, 256) for seed in SEEDS]
    for picture in pictures:
        correlation = np.corrcoef(picture.reshape(-1, 3).T)
        assert 0.5 < correlation[np.triu_indices(3, 1)].mean() < 0.995
    colourfulness = [np.ptp(picture, axis=2).std() for picture in pictures]
    assert np.mean(colourfulness) > 14.5  # the backdrop alone has 12, Kodak's photographs 14 to 29


def test_degradations_leave_their_mark() -> None:
    """Blur removes edges, JPEG costs more bits than noise-free drawings and fewer than noise."""
    for seed in SEEDS:
        picture = photo_like(seed, 256, 256)
        image = Image.fromarray(picture)
        blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(2))).astype(float)
        edges = np.abs(np.diff(picture.astype(float), axis=1))
        assert edges.max() > 100
        assert np.abs(np.diff(blurred, axis=1)).mean() < 0.7 * edges.mean()
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=75)
        assert 0.8 < 8 * len(stream.getvalue()) / 256**2 < 3.5  # bits a pixel; photographs: about 1 to 3
