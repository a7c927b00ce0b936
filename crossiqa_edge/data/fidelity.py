"""Full-reference measures, by which levels of a degradation are checked and opinions told apart.

Higher is closer to the original, if nothing else is said.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.ndimage import correlate1d

from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.sampling import Frame

Plane = npt.NDArray[np.float32]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_COARSE = 8
_MDSI_C1, _MDSI_C2, _MDSI_C3 = 140.0, 55.0, 550.0
_MDSI_CHANNELS = np.array([[0.2989, 0.30, 0.34], [0.5870, 0.04, -0.60], [0.1140, -0.35, 0.17]], np.float32)
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_WINDOW = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
_WINDOW /= _WINDOW.sum()


def psnr(reference: Frame, picture: Frame) -> float:
    """Peak signal-to-noise ratio over all samples in dB; ``inf`` for equal pictures.

    Raises:
        InputError: the shapes differ.
    """
    _check(reference, picture)
    return _decibels(reference.astype(np.float32) - picture)


def coarse_psnr(reference: Frame, picture: Frame) -> float:
    """PSNR in dB of the means of 8 x 8 pixels; ``inf`` for equal pictures.

    Where a channel is displaced, plain PSNR stops falling once the displacement exceeds the size of the
    finest texture; the means go on to differ.

    Raises:
        InputError: the shapes differ, or a side is below 8.
    """
    _check(reference, picture)
    return _decibels(_block_means(reference) - _block_means(picture))


def ssim(reference: Frame, picture: Frame) -> float:
    """Mean structural similarity of the lumas, at most 1 (Wang et al., IEEE TIP 13(4), 2004).

    Gaussian window of 11 x 11 pixels with a sigma of 1.5, where it fits whole; K1 = 0.01, K2 = 0.03.

    Raises:
        InputError: the shapes differ, or a side is below 11.
    """
    _check(reference, picture)
    if min(reference.shape[:2]) < _WINDOW.size:
        raise InputError(
            f"SSIM needs sides of at least {_WINDOW.size} pixels, these are {reference.shape[:2]}"
        )
    x, y = reference @ _LUMA, picture @ _LUMA
    mean_x, mean_y = _local_mean(x), _local_mean(y)
    variances = _local_mean(x * x + y * y) - mean_x**2 - mean_y**2
    covariance = _local_mean(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    structure = (2 * covariance + _C2) / (variances + _C2)
    return float(np.mean(luminance * structure))


def half_psnr(reference: Frame, picture: Frame) -> float:
    """PSNR in dB of the means of 2 x 2 pixels; ``inf`` for equal pictures.

    Of several measures tried, the one that best tells apart TID2013's opinions of one blur or one codec on
    different contents.

    Raises:
        InputError: the shapes differ, or a side is below 2.
    """
    _check(reference, picture)
    return _decibels(_halved(reference) - _halved(picture))


def mdsi(reference: Frame, picture: Frame) -> float:
    """Mean deviation similarity index at half size: 0 for equal pictures, and **lower is closer**.

    Gradients of luma and two chroma channels are compared place by place, and how much the likeness varies
    over the places is the figure (Nafchi et al., IEEE Access 4, 2016; its constants, the summed combination).

    Raises:
        InputError: the shapes differ, or a side is below 6.
    """
    _check(reference, picture)
    if min(reference.shape[:2]) < 6:
        raise InputError(f"MDSI needs sides of at least 6 pixels, these are {reference.shape[:2]}")
    (x, chroma_x), (y, chroma_y) = (_luma_chroma(_halved(side)) for side in (reference, picture))
    edge_x, edge_y, edge_both = (
        _gradient_energy(plane) for plane in (x, y, np.divide(x + y, 2, dtype=np.float32))
    )
    edges = (
        _likeness(edge_x, edge_y, _MDSI_C1)
        + _likeness(edge_y, edge_both, _MDSI_C2)
        - _likeness(edge_x, edge_both, _MDSI_C2)
    )
    products = 2 * np.sum(chroma_x * chroma_y, axis=2) + _MDSI_C3
    chroma = products / (np.sum(chroma_x**2 + chroma_y**2, axis=2) + _MDSI_C3)
    likeness = 0.6 * edges + 0.4 * chroma[1:-1, 1:-1]
    # the fourth root of what is below zero is complex, of a phase of 45 degrees
    roots = np.sqrt(np.sqrt(np.abs(likeness))) * np.where(likeness < 0, np.exp(0.25j * np.pi), 1.0)
    return float(np.mean(np.abs(roots - roots.mean())) ** 0.25)


MEASURES: dict[str, Callable[[Frame, Frame], float]] = {
    "psnr": psnr,
    "coarse_psnr": coarse_psnr,
    "ssim": ssim,
}


def _decibels(difference: npt.NDArray[np.float32]) -> float:
    error = float(np.mean(np.square(difference), dtype=np.float64))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def _halved(picture: Frame) -> Plane:
    rows, columns = (side // 2 * 2 for side in picture.shape[:2])
    if min(rows, columns) == 0:
        raise InputError(f"sides of at least 2 pixels are needed, these are {picture.shape[:2]}")
    even = picture[:rows, :columns].astype(np.float32)
    four = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    means: Plane = four / np.float32(4)
    return means


def _luma_chroma(picture: Plane) -> tuple[Plane, Plane]:
    planes: Plane = picture @ _MDSI_CHANNELS
    return planes[..., 0], planes[..., 1:]


def _gradient_energy(plane: Plane) -> Plane:
    """Squared Prewitt gradients (weights of a third), where the window lies inside."""
    tall = np.divide(plane[:-2] + plane[1:-1] + plane[2:], 3, dtype=np.float32)
    wide = np.divide(plane[:, :-2] + plane[:, 1:-1] + plane[:, 2:], 3, dtype=np.float32)
    energy: Plane = (tall[:, 2:] - tall[:, :-2]) ** 2 + (wide[2:] - wide[:-2]) ** 2
    return energy


def _likeness(a: Plane, b: Plane, constant: float) -> Plane:
    """Of gradients given as their squares."""
    likeness: Plane = np.divide(2 * np.sqrt(a * b) + constant, a + b + constant, dtype=np.float32)
    return likeness


def _block_means(picture: Frame) -> npt.NDArray[np.float32]:
    rows, columns = picture.shape[0] // _COARSE, picture.shape[1] // _COARSE
    if min(rows, columns) == 0:
        raise InputError(
            f"coarse PSNR needs sides of at least {_COARSE} pixels, these are {picture.shape[:2]}"
        )
    whole = picture[: rows * _COARSE, : columns * _COARSE].astype(np.float32)
    means: npt.NDArray[np.float32] = whole.reshape(rows, _COARSE, columns, _COARSE, 3).mean(axis=(1, 3))
    return means


def _local_mean(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Weighted by the window; only where the window lies inside."""
    reach = _WINDOW.size // 2
    blurred = correlate1d(correlate1d(plane.astype(np.float64), _WINDOW, axis=0), _WINDOW, axis=1)
    inner: npt.NDArray[np.float64] = blurred[reach:-reach, reach:-reach]
    return inner


def _check(reference: Frame, picture: Frame) -> None:
    if reference.shape != picture.shape:
        raise InputError(f"pictures of {reference.shape} and {picture.shape} cannot be compared; align them")
