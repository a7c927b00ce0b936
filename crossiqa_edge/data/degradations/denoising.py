"""Total-variation denoising: accelerated projected gradient on the dual problem.

Rudin, Osher and Fatemi's model in its isotropic form, by the fast gradient projection of Beck and
Teboulle (IEEE TIP 18(11), 2009). The channels are independent.
"""

from __future__ import annotations

import math

import numpy as np

from crossiqa_edge.data.degradations.pixels import Plane, Planes

ITERATIONS = 8


def total_variation(noisy: Planes, weight: float) -> Planes:
    """The planes x that nearly minimise ``|x - noisy|^2 / 2 + weight TV(x)``.

    Args:
        noisy: float32 (C, H, W).
        weight: strength, in the units of the samples.

    Returns:
        float32 (C, H, W).
    """
    # One plane at a time: its fields then stay in the processor's cache.
    return np.stack([_smoothed(plane, np.float32(weight)) for plane in noisy])


def _smoothed(plane: Plane, weight: np.float32) -> Plane:
    dual = np.zeros((2, *plane.shape), np.float32)  # the vertical and the horizontal field
    ahead = dual
    momentum = 1.0
    for _ in range(ITERATIONS):
        step = _gradient(plane + weight * _divergence(ahead))
        step *= 1 / (8 * weight)
        step += ahead
        length = np.sqrt(step[0] * step[0] + step[1] * step[1])
        step /= np.maximum(length, 1, out=length)
        following = (1 + math.sqrt(1 + 4 * momentum * momentum)) / 2
        ahead = step + np.float32((momentum - 1) / following) * (step - dual)
        dual, momentum = step, following
    smoothed: Plane = plane + weight * _divergence(dual)
    return smoothed


def _gradient(plane: Plane) -> Plane:
    """Forward differences (2, H, W), zero at the far border."""
    field = np.zeros((2, *plane.shape), np.float32)
    np.subtract(plane[1:], plane[:-1], out=field[0, :-1])
    np.subtract(plane[:, 1:], plane[:, :-1], out=field[1, :, :-1])
    return field


def _divergence(field: Plane) -> Plane:
    """The negative adjoint of ``_gradient``."""
    result: Plane = field[0] + field[1]
    result[1:] -= field[0, :-1]
    result[:, 1:] -= field[1, :, :-1]
    return result
