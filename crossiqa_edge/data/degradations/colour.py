"""Colour: diffusion, channel shift, palettes, saturation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from crossiqa_edge.data.degradations.blur import convolve, gaussian_kernel
from crossiqa_edge.data.degradations.colourspace import lab_to_rgb, rgb_to_lab
from crossiqa_edge.data.degradations.pixels import Plane, luma, to_bytes, to_planes
from crossiqa_edge.imaging.sampling import Frame

_GREEN = 1
_LLOYD_STEPS = 6


def colour_diffusion(image: Frame, amount: float, generator: np.random.Generator) -> Frame:
    """Lab's a and b blurred by a Gaussian of 1.5 ``amount`` + 2 pixels, then multiplied by ``amount``."""
    lab = rgb_to_lab(image)
    lab[1:] = convolve(lab[1:], gaussian_kernel(1.5 * amount + 2)) * np.float32(amount)
    return lab_to_rgb(lab)


def colour_shift(image: Frame, amount: float, generator: np.random.Generator) -> Frame:
    """Green moved by ``amount`` pixels in a random direction and blended in where there are edges."""
    planes = to_planes(image)
    angle = generator.uniform(0, 2 * np.pi)
    green = planes[_GREEN]
    moved = translate(green, round(amount * np.sin(angle)), round(amount * np.cos(angle)))
    planes[_GREEN] += _edge_mask(luma(planes)) * (moved - green)
    return to_bytes(planes)


def colour_quantization(image: Frame, colours: float, generator: np.random.Generator) -> Frame:
    """The picture in a palette of ``colours`` of little variance within each, without dithering.

    Pillow's octree gives the first palette and Lloyd's method betters it, on the means of the occupied
    cells of a 32 x 32 x 32 colour cube rather than on pixels. MATLAB cuts a like cube into boxes.
    """
    red, green, blue = (image[..., channel].astype(np.int32) >> 3 for channel in range(3))
    cells = (red << 10 | green << 5 | blue).ravel()
    counts = np.bincount(cells, minlength=1 << 15)
    occupied = np.flatnonzero(counts)
    weights = counts[occupied]
    sums = np.stack([np.bincount(cells, image[..., c].ravel())[occupied] for c in range(3)], axis=1)
    first = Image.fromarray(image).quantize(
        round(colours), Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
    )
    palette = np.array(first.getpalette(), np.float64).reshape(-1, 3)
    means = sums / weights[:, None]
    for _ in range(_LLOYD_STEPS):
        nearest = _nearest(means, palette)
        members = np.bincount(nearest, weights, len(palette))
        for channel in range(3):
            total = np.bincount(nearest, sums[:, channel], len(palette))
            palette[:, channel] = np.where(members > 0, total / np.maximum(members, 1), palette[:, channel])
    table = np.zeros((1 << 15, 3), np.uint8)
    table[occupied] = (palette + 0.5).astype(np.uint8)[_nearest(means, palette)]
    quantized: Frame = table[cells].reshape(image.shape)
    return quantized


def colour_saturation_1(image: Frame, factor: float, generator: np.random.Generator) -> Frame:
    """HSV saturation times ``factor``; below zero the hues turn to their opposites.

    At fixed hue and value every channel is linear in the saturation: c = V - S V g(hue). So scaling S
    scales each channel's distance from V, and no conversion is needed.
    """
    planes = to_planes(image)
    value = planes.max(axis=0)
    planes -= value
    planes *= np.float32(factor)
    planes += value
    return to_bytes(planes)


def colour_saturation_2(image: Frame, factor: float, generator: np.random.Generator) -> Frame:
    """Lab's a and b times ``factor``, clipped to the gamut of sRGB."""
    lab = rgb_to_lab(image)
    lab[1:] *= np.float32(factor)
    return lab_to_rgb(lab)


def translate(plane: Plane, down: int, right: int) -> Plane:
    """``plane`` (H, W) moved by whole pixels; what comes in at the border is mirrored."""
    height, width = plane.shape
    reach = max(abs(down), abs(right))
    padded = np.pad(plane, reach, mode="symmetric")
    return padded[reach - down : reach - down + height, reach - right : reach - right + width]


def _edge_mask(grey: Plane) -> Plane:
    """(H, W) in 0..1: the smoothed gradient of grey, stretched between its first and last percentile."""
    down, right = (
        np.gradient(grey, axis=axis) if side > 1 else 0 * grey for axis, side in enumerate(grey.shape)
    )
    edges = convolve(np.hypot(down, right), gaussian_kernel(4.0))
    edges = np.clip(_stretched(edges, float(edges.min()), float(edges.max())), 0.1, 1)
    low, high = np.percentile(edges, (1, 99))
    return _stretched(edges, float(low), float(high))


def _stretched(plane: Plane, low: float, high: float) -> Plane:
    stretched: Plane = np.clip((plane - np.float32(low)) / np.float32(max(high - low, 1e-6)), 0, 1)
    return stretched


def _nearest(points: npt.NDArray[np.float64], palette: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """The index of the palette's nearest colour for each of ``points`` (N, 3)."""
    distances = (palette**2).sum(axis=1) - 2 * points @ palette.T  # less each point's own square
    nearest: npt.NDArray[np.intp] = distances.argmin(axis=1)
    return nearest
