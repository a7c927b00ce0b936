"""From FFmpeg's frame to a picture: planes as views of the decoder's memory wherever their layout allows.

Planar and semi-planar YUV of 8 to 16 bits is taken as it lies, without a copy. Packed YUV, as webcams
send it, and big-endian samples are first laid out as planes by FFmpeg, without loss; RGB of any kind
becomes 8-bit RGB.
"""

from __future__ import annotations

import re
from typing import Any

import av
import numpy as np

from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.imaging.yuv import Plane, Planes

RGB = "rgb"  # stands where other pictures have a matrix

# yuv420p, yuvj422p, yuva444p, yuv420p10le, gray, gray10le. Alpha, which no player of video shows, is left.
_PLANAR = re.compile(r"(?:yuv[ja]?4\d\dp|gray)(?P<depth>9|1[0246])?(?:le)?")
_SEMI_PLANAR = re.compile(r"nv(?:12|21|16|24|42)|p[024](?P<depth>10|12|16)le")
_CR_FIRST = ("nv21", "nv42")
_PACKED = {"yuyv422": "yuv422p", "uyvy422": "yuv422p", "yvyu422": "yuv422p", "y210le": "yuv422p10le"}
_LIKE_RGB = ("pal8", "monow", "monob", "ya8")

# AVColorSpace, AVColorTransferCharacteristic and AVColorRange; the first two are those of ITU-T H.273.
_MATRIX_NUMBERS = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
_UNSPECIFIED = 2
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
_FULL_RANGE = 2
# What players do where the stream does not say: BT.709 from here on, BT.601 below.
_HD_WIDTH, _HD_HEIGHT = 1280, 577


def picture_of(frame: av.VideoFrame) -> Planes | Frame:
    """The upright picture in ``frame``, which keeps the decoder's memory alive; it must not be written to.

    Raises:
        InputError: high dynamic range, a colour matrix that is not in ``MATRICES``, or an unknown layout.
    """
    transfer = _HDR_TRANSFERS.get(int(frame.color_trc or 0))
    if transfer:
        raise InputError(f"high dynamic range ({transfer}), which is not judged; tone-map it to BT.709 first")
    quarters = rotation_of(frame) // 90
    if matrix_of(frame) == RGB:
        rgb: Frame = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
        return np.rot90(rgb, quarters)
    planes = _as_planes(frame)
    if quarters and any(side % block for side, block in zip(planes.luma.shape, planes.blocks, strict=True)):
        raise InputError("rotated by its metadata, with sides that cut chroma samples; rotate its pixels")
    return planes.turned(quarters) if quarters else planes


def rotation_of(frame: av.VideoFrame) -> int:
    """Degrees counter-clockwise by which ``frame`` is turned to be shown: 0, 90, 180 or 270.

    Raises:
        InputError: another angle.
    """
    degrees = int(frame.rotation) % 360
    if degrees % 90:
        raise InputError(f"rotated by {degrees} degrees in its metadata; rotate its pixels upright first")
    return degrees


def matrix_of(frame: av.VideoFrame) -> str:
    """A key of ``crossiqa_edge.imaging.yuv.MATRICES``, or ``RGB``.

    Raises:
        InputError: another matrix.
    """
    if frame.format.is_rgb or frame.format.name in _LIKE_RGB:
        return RGB
    number = int(frame.colorspace)
    if number == _UNSPECIFIED:
        return "bt709" if frame.width >= _HD_WIDTH or frame.height >= _HD_HEIGHT else "bt601"
    if number not in _MATRIX_NUMBERS:
        raise InputError(f"colour matrix {number} of ITU-T H.273 is not known here; convert it to BT.709")
    return _MATRIX_NUMBERS[number]


def full_range_of(frame: av.VideoFrame) -> bool:
    """Whether black and white are at the ends of the code; grey that does not say is, as FFmpeg takes it."""
    name = frame.format.name
    unsaid = name.startswith("gray") and int(frame.color_range) == 0
    return int(frame.color_range) == _FULL_RANGE or name.startswith("yuvj") or unsaid


def _as_planes(frame: av.VideoFrame) -> Planes:
    name = frame.format.name
    planar, semi_planar = _PLANAR.fullmatch(name), _SEMI_PLANAR.fullmatch(name)
    layout = planar or semi_planar
    if layout is None:
        return _as_planes(_laid_out(frame, name))
    depth = int(layout["depth"] or 8)
    dtype = np.uint8 if depth == 8 else np.dtype("<u2")
    high, wide = frame.height, frame.width
    chroma_high, chroma_wide = frame.format.chroma_height(high), frame.format.chroma_width(wide)
    luma = _view(frame.planes[0], high, wide, dtype)
    chroma = None
    if semi_planar:
        pairs = _view(frame.planes[1], chroma_high, 2 * chroma_wide, dtype)
        chroma = (pairs[:, 0::2], pairs[:, 1::2])
        chroma = chroma[::-1] if name in _CR_FIRST else chroma
    elif len(frame.planes) > 1:
        blue, red = frame.planes[1], frame.planes[2]
        chroma = (_view(blue, chroma_high, chroma_wide, dtype), _view(red, chroma_high, chroma_wide, dtype))
    shift = 16 - depth if semi_planar and depth > 8 else 0
    return Planes(luma, chroma, matrix_of(frame), full_range_of(frame), depth, shift)


def _view(plane: Any, height: int, width: int, dtype: Any) -> Plane:
    """A plane without its padding; the array holds the plane, and the plane the frame."""
    flat = np.frombuffer(plane, dtype)
    pitch = plane.line_size // flat.itemsize
    return flat[: height * pitch].reshape(height, pitch)[:, :width]


def _laid_out(frame: av.VideoFrame, name: str) -> av.VideoFrame:
    """``frame`` with the same samples as planes in native order."""
    target = _PACKED.get(name, f"{name[:-2]}le" if name.endswith("be") else "")
    if not target:
        raise InputError(f"pixel format {name} is not known here; convert it to yuv420p first")
    return frame.reformat(format=target)
