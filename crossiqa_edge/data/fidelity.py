"""Full-reference measures, by which a degradation's levels are checked: higher is closer to the original."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.ndimage import correlate1d

from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.sampling import Frame

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_COARSE = 8
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


MEASURES: dict[str, Callable[[Frame, Frame], float]] = {
    "psnr": psnr,
    "coarse_psnr": coarse_psnr,
    "ssim": ssim,
}


def _decibels(difference: npt.NDArray[np.float32]) -> float:
    error = float(np.mean(np.square(difference), dtype=np.float64))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


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
