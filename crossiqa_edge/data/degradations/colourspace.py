"""sRGB to CIE Lab and to Y'CbCr, and back: float32 planes (3, H, W).

On training crops these conversions are most of a colour degradation's time, hence the tables: a byte is
made linear by one of 256 entries, and linear light is encoded by one of 16384, within a tenth of a byte.
"""

from __future__ import annotations

import numpy as np

from crossiqa_edge.data.degradations.pixels import LUMA, Planes, mix, to_bytes
from crossiqa_edge.imaging.sampling import Frame

# IEC 61966-2-1 primaries; each row is divided by the D65 white (0.95047, 1, 1.08883).
_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
) / np.array([[0.95047], [1.0], [1.08883]])
_RGB_TO_XYZ = _XYZ.astype(np.float32)
_XYZ_TO_RGB = np.linalg.inv(_XYZ).astype(np.float32)

_CODES = np.arange(256) / 255
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4).astype(np.float32)
_STEPS = np.float32(16383)
_LIGHT = np.arange(16384) / 16383
_ENCODED = np.where(_LIGHT <= 0.0031308, _LIGHT * 12.92, 1.055 * _LIGHT ** (1 / 2.4) - 0.055).astype(
    np.float32
)

# CIE 15: the cube root, and below (6/29)^3 a straight line.
_KNEE = np.float32(6 / 29)
_SLOPE = np.float32((29 / 6) ** 2 / 3)
_OFFSET = np.float32(4 / 29)

_YCBCR = np.array([LUMA, ([0, 0, 1] - LUMA) / (2 - 2 * LUMA[2]), ([1, 0, 0] - LUMA) / (2 - 2 * LUMA[0])])
_RGB_TO_YCBCR = _YCBCR.astype(np.float32)
_YCBCR_TO_RGB = np.linalg.inv(_YCBCR).astype(np.float32)


def rgb_to_lab(image: Frame) -> Planes:
    """sRGB uint8 (H, W, 3) as CIE 1976 L*a*b* under D65: L* 0..100, a* and b* about -100..100."""
    linear = np.empty((3, *image.shape[:2]), np.float32)
    for channel, plane in enumerate(linear):
        np.take(_LINEAR, image[..., channel], out=plane)
    xyz = mix(_RGB_TO_XYZ, linear)
    x, y, z = _cube_root(xyz)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def lab_to_planes(lab: Planes) -> Planes:
    """CIE L*a*b* under D65 as sRGB in 0..1; colours outside its gamut are clipped."""
    y = (lab[0] + 16) * np.float32(1 / 116)
    f = np.stack([y + lab[1] * np.float32(1 / 500), y, y - lab[2] * np.float32(1 / 200)])
    xyz = f * f * f
    dark = f < _KNEE
    xyz[dark] = (f[dark] - _OFFSET) / _SLOPE
    linear = mix(_XYZ_TO_RGB, xyz)
    linear *= _STEPS
    linear += np.float32(0.5)
    np.clip(linear, 0, _STEPS, out=linear)
    return _ENCODED[linear.astype(np.uint16)]


def lab_to_rgb(lab: Planes) -> Frame:
    """CIE L*a*b* under D65 as sRGB uint8 (H, W, 3)."""
    return to_bytes(lab_to_planes(lab))


def rgb_to_ycbcr(planes: Planes) -> Planes:
    """R'G'B' in 0..1 as full-range BT.601 Y'CbCr: Y' in 0..1, Cb and Cr in -0.5..0.5."""
    return mix(_RGB_TO_YCBCR, planes)


def ycbcr_to_rgb(ycbcr: Planes) -> Planes:
    """The inverse of ``rgb_to_ycbcr``; not clipped."""
    return mix(_YCBCR_TO_RGB, ycbcr)


def _cube_root(xyz: Planes) -> Planes:
    """CIE's f: the cube root, by the SIMD code that NumPy has for float32 ``log`` and ``exp`` only."""
    root: Planes = np.log(np.maximum(xyz, np.float32(1e-12)))
    root *= np.float32(1 / 3)
    np.exp(root, out=root)
    dark = xyz < _KNEE**3
    root[dark] = xyz[dark] * _SLOPE + _OFFSET
    return root
