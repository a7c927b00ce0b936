"""Pictures as bytes and as planes: the two steps that nearly every degradation begins and ends with.

Work in between is done on planes, channels first: NumPy broadcasts a weight over contiguous planes many
times faster than over interleaved triples, and so does the FFT.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from crossiqa_edge.imaging.sampling import Frame

Plane = npt.NDArray[np.float32]  # (H, W)
Planes = npt.NDArray[np.float32]  # (3, H, W)

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601 weights of R', G' and B'


def to_planes(image: Frame) -> Planes:
    """uint8 (H, W, 3) as float32 planes (3, H, W) in 0..1."""
    planes = np.empty((3, *image.shape[:2]), np.float32)
    for channel, plane in enumerate(planes):
        np.multiply(image[..., channel], np.float32(1 / 255), out=plane)
    return planes


def to_bytes(planes: Planes) -> Frame:
    """float32 planes (3, H, W) as uint8 (H, W, 3): clipped to 0..1 and rounded half up."""
    image = np.empty((*planes.shape[1:], 3), np.uint8)
    for channel, plane in enumerate(planes):
        image[..., channel] = to_codes(plane)
    return image


def to_codes(unit: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    """Samples of any shape as uint8 of the same: clipped to 0..1 and rounded half up."""
    scaled = unit * np.float32(255)
    scaled += np.float32(0.5)
    codes: npt.NDArray[np.uint8] = np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)
    return codes


def luma(planes: Planes) -> Plane:
    """BT.601 luma (H, W) of R'G'B' planes (3, H, W)."""
    return np.tensordot(LUMA, planes, 1)


def mix(matrix: npt.NDArray[np.float32], planes: Planes) -> Planes:
    """``matrix`` (3, 3) applied to every pixel of ``planes`` (3, H, W)."""
    mixed: Planes = (matrix @ planes.reshape(3, -1)).reshape(planes.shape)
    return mixed
