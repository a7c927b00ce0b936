"""Tone: curves through control points, shifts of the mean, and too few levels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

from crossiqa_edge.data.degradations.colourspace import lab_to_planes, rgb_to_lab
from crossiqa_edge.data.degradations.pixels import Plane, to_bytes, to_codes
from crossiqa_edge.imaging.sampling import Frame

Tone = Callable[[npt.NDArray[Any]], Plane]  # samples 0..1 of any shape -> samples 0..1

_CODES = np.arange(256) / 255
_LLOYD_STEPS = 40


def brighten(image: Frame, amount: float, generator: np.random.Generator) -> Frame:
    """A tone curve whose middle is raised by half of ``amount``."""
    return _toned(image, 0.5 + amount / 2)


def darken(image: Frame, amount: float, generator: np.random.Generator) -> Frame:
    """A tone curve whose middle is lowered by half of ``amount``."""
    return _toned(image, 0.5 - amount / 2)


def mean_shift(image: Frame, shift: float, generator: np.random.Generator) -> Frame:
    """``shift`` (of the 0..1 range) added to every sample, clipped."""
    return to_codes((_CODES + shift).astype(np.float32))[image]


def contrast_change(image: Frame, amount: float, generator: np.random.Generator) -> Frame:
    """A tone curve through (0.25, 0.25 - ``amount`` / 4), (0.5, 0.5) and (0.75, 0.75 + ``amount`` / 4).

    Above zero the middle tones are spread, below zero they are drawn together; zero changes nothing.
    """
    quarter = amount / 4
    curve = tone_curve((0.25, 0.5, 0.75), (0.25 - quarter, 0.5, 0.75 + quarter))
    return to_codes(curve(_CODES))[image]


def quantization(image: Frame, thresholds: float, generator: np.random.Generator) -> Frame:
    """All samples cut at Otsu's best ``thresholds`` (one set for the three channels).

    The darkest class becomes 0, the lightest 255 and each other one its upper threshold, as in KADID-10k.
    """
    cuts = _otsu_cuts(np.bincount(image.ravel(), minlength=256), round(thresholds))
    values = np.concatenate([[0], cuts[1:], [255]])
    table = values[np.searchsorted(cuts, np.arange(256))]
    return to_codes(table / 255)[image]


def tone_curve(inner_x: tuple[float, ...], inner_y: tuple[float, ...]) -> Tone:
    """The not-a-knot cubic spline through (0, 0), the inner points and (1, 1), clipped to 0..1.

    With one inner point it is the parabola through the three.
    """
    spline = CubicSpline((0, *inner_x, 1), (0, *inner_y, 1))

    def tone(x: npt.NDArray[Any]) -> Plane:
        y: Plane = np.clip(spline(x), 0, 1).astype(np.float32)
        return y

    return tone


def _toned(image: Frame, middle: float) -> Frame:
    """The curve through (0.5, ``middle``): two parts of it on R, G and B, one part on Lab's lightness."""
    curve = tone_curve((0.5,), (middle,))
    lab = rgb_to_lab(image)
    lab[0] = curve(lab[0] / 100) * 100
    mixed = lab_to_planes(lab)
    table = 2 * curve(_CODES)
    for channel, plane in enumerate(mixed):
        plane += table[image[..., channel]]
    mixed *= np.float32(1 / 3)
    return to_bytes(mixed)


def _otsu_cuts(histogram: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.float64]:
    """``count`` cuts in 0..255 that leave least variance within classes: Lloyd's method on the histogram."""
    levels = np.arange(256)
    mass = np.concatenate([[0], np.cumsum(histogram)])
    moment = np.concatenate([[0], np.cumsum(histogram * levels)])
    shares = (np.arange(count + 1) + 0.5) / (count + 1)
    centres = np.interp(shares * mass[-1], mass, np.arange(257) - 0.5)
    for _ in range(_LLOYD_STEPS):
        cuts: npt.NDArray[np.float64] = (centres[1:] + centres[:-1]) / 2
        edges = np.concatenate([[0], np.floor(cuts).astype(int) + 1, [256]])
        weights = np.diff(mass[edges])
        centres = np.where(weights > 0, np.diff(moment[edges]) / np.maximum(weights, 1), centres)
    return cuts
