"""Blurs: Gaussian, lens (disk), motion; and the one convolution that all of them use."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft

from crossiqa_edge.data.degradations.pixels import Plane, to_bytes, to_planes
from crossiqa_edge.imaging.sampling import Frame

Kernel = npt.NDArray[np.float32]  # (2 r + 1, 2 r + 1), sums to one


def gaussian_blur(image: Frame, sigma: float, generator: np.random.Generator) -> Frame:
    """Gaussian blur of ``sigma`` pixels."""
    return to_bytes(convolve(to_planes(image), gaussian_kernel(sigma)))


def lens_blur(image: Frame, radius: float, generator: np.random.Generator) -> Frame:
    """Out of focus: a uniform disk of ``radius`` pixels."""
    return to_bytes(convolve(to_planes(image), disk_kernel(radius)))


def motion_blur(image: Frame, length: float, generator: np.random.Generator) -> Frame:
    """Linear motion over ``length`` pixels at a random angle; one pixel is no motion."""
    angle = generator.uniform(0, np.pi)
    return to_bytes(convolve(to_planes(image), line_kernel(length, angle)))


def convolve(planes: Plane, kernel: Kernel) -> Plane:
    """``planes`` (..., H, W) convolved with ``kernel``; the border is mirrored, edge sample included.

    Through the FFT, whose time does not grow with the kernel: a wide blur costs what a narrow one does.
    """
    radius = kernel.shape[0] // 2
    if radius == 0:
        return planes
    height, width = planes.shape[-2:]
    shape = [fft.next_fast_len(side + 2 * radius, real=True) for side in (height, width)]
    beyond = [(radius, full - side - radius) for full, side in zip(shape, (height, width), strict=True)]
    padded = np.pad(planes, [*[(0, 0)] * (planes.ndim - 2), *beyond], mode="symmetric")
    spectrum = fft.rfft2(padded)
    spectrum *= fft.rfft2(kernel, shape)
    blurred: Plane = fft.irfft2(spectrum, shape, overwrite_x=True)
    return blurred[..., 2 * radius : 2 * radius + height, 2 * radius : 2 * radius + width]


def gaussian_kernel(sigma: float) -> Kernel:
    """Sampled Gaussian out to three sigmas."""
    radius = int(np.ceil(3 * sigma))
    line = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return _normalised(np.outer(line, line))


@lru_cache(maxsize=16)
def disk_kernel(radius: float) -> Kernel:
    """A disk; pixels on its rim count by the share of their area inside it (sampled 16 x 16)."""
    reach = int(np.ceil(radius))
    fine = (np.arange((2 * reach + 1) * 16) + 0.5) / 16 - reach - 0.5
    inside = np.hypot(fine[:, None], fine) <= radius
    side = 2 * reach + 1
    return _normalised(inside.reshape(side, 16, side, 16).mean(axis=(1, 3)))


def line_kernel(length: float, angle: float) -> Kernel:
    """An antialiased segment of ``length`` pixels: weight falls from 1 on it to 0 one pixel away."""
    half = (max(length, 1.0) - 1) / 2
    reach = int(np.ceil(half))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    beyond = np.maximum(np.abs(along) - half, 0)
    return _normalised(np.maximum(1 - np.hypot(across, beyond), 0))


def _normalised(weights: npt.NDArray[np.float64]) -> Kernel:
    kernel: Kernel = (weights / weights.sum()).astype(np.float32)
    return kernel
