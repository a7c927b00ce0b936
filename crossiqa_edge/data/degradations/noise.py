"""Noises, and the smoothness that is left where a strong one was removed."""

from __future__ import annotations

import numpy as np

from crossiqa_edge.data.degradations.colourspace import ycbcr_to_rgb
from crossiqa_edge.data.degradations.denoising import total_variation
from crossiqa_edge.data.degradations.pixels import Planes, to_bytes, to_planes
from crossiqa_edge.imaging.sampling import Frame

# MATLAB adds its noise to studio-range Y'CbCr, whose steps are wider than full-range ones.
_STUDIO_STEP = np.array([255 / 219, 255 / 224, 255 / 224], np.float32)[:, None, None]


def white_noise(image: Frame, variance: float, generator: np.random.Generator) -> Frame:
    """Gaussian noise of ``variance`` (of the 0..1 range) on every R, G and B sample."""
    return to_bytes(to_planes(image) + _gaussian(image, variance, generator))


def white_noise_colour(image: Frame, variance: float, generator: np.random.Generator) -> Frame:
    """Gaussian noise of ``variance`` on each studio-range Y'CbCr component, hence coloured in RGB."""
    return to_bytes(to_planes(image) + ycbcr_to_rgb(_gaussian(image, variance, generator) * _STUDIO_STEP))


def impulse_noise(image: Frame, density: float, generator: np.random.Generator) -> Frame:
    """Salt and pepper: a share ``density`` of the R, G and B samples becomes 0 or 255, half each."""
    draw = generator.random(image.shape, np.float32)
    noisy: Frame = image.copy()
    noisy[draw < density] = 255
    noisy[draw < density / 2] = 0
    return noisy


def multiplicative_noise(image: Frame, variance: float, generator: np.random.Generator) -> Frame:
    """Speckle: every sample times 1 + n, where n is uniform with mean 0 and ``variance``."""
    gain = generator.random((3, *image.shape[:2]), np.float32)
    gain -= np.float32(0.5)
    gain *= np.float32(np.sqrt(12 * variance))
    gain += 1
    return to_bytes(to_planes(image) * gain)


def denoise(image: Frame, variance: float, generator: np.random.Generator) -> Frame:
    """Gaussian noise of ``variance``, clipped, then removed together with the detail that looks like it.

    KADID-10k removes it with the network DnCNN (Zhang et al., TIP 2017). Total variation takes its place
    here, with a strength in proportion to the noise: it needs no weights and, like DnCNN far above its
    training noise, leaves flat patches and blurred texture.
    """
    noisy = np.clip(to_planes(image) + _gaussian(image, variance, generator), 0, 1)
    return to_bytes(total_variation(noisy, 0.9 * float(np.sqrt(variance))))


def _gaussian(image: Frame, variance: float, generator: np.random.Generator) -> Planes:
    noise = generator.standard_normal((3, *image.shape[:2]), np.float32)
    noise *= np.float32(np.sqrt(variance))
    return noise
