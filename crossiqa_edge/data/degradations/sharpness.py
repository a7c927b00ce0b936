"""Sharpening beyond what is good."""

from __future__ import annotations

import numpy as np

from crossiqa_edge.data.degradations.blur import convolve, gaussian_kernel
from crossiqa_edge.data.degradations.colourspace import lab_to_rgb, rgb_to_lab
from crossiqa_edge.imaging.sampling import Frame

_SIGMA = 3.0


def high_sharpen(image: Frame, amount: float, generator: np.random.Generator) -> Frame:
    """Unsharp mask on Lab's lightness: ``amount`` times what a Gaussian of 3 pixels takes away is added."""
    lab = rgb_to_lab(image)
    lightness = lab[0]
    lab[0] += np.float32(amount) * (lightness - convolve(lightness, gaussian_kernel(_SIGMA)))
    np.clip(lab[0], 0, 100, out=lab[0])
    return lab_to_rgb(lab)
