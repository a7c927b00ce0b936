"""Clips of any size out of real photographs, with motion, for timing: no clip need be shipped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import cos, pi, sin
from pathlib import Path

import av
import numpy as np
from PIL import Image

from crossiqa_edge.errors import BackendError, InputError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.gather import gather
from crossiqa_edge.imaging.sampling import Frame

_MARGIN = 1.25  # side of the mosaic over that of the frame: room to move in
_PERIOD = 8.0  # seconds of one round of the camera


def photographs(folder: str | Path) -> list[Frame]:
    """All pictures of ``folder``.

    Raises:
        InputError: there are none, or one is damaged.
    """
    found = [entry for entry in gather([str(folder)]) if not entry.clip]
    pictures = [decode(entry.source) for entry in found if isinstance(entry.source, str | bytes)]
    if not pictures:
        raise InputError(f"{folder}: no photographs in it; name a folder with some")
    return pictures


def encode_moving(
    path: Path, pictures: Sequence[Frame], height: int, width: int, *, frames: int, fps: int, crf: int
) -> Path:
    """Write an H.264 clip of a camera that pans and zooms over a mosaic of ``pictures``, and return its path.

    The mosaic holds the photographs at their native resolution, mirrored where they repeat, so that a
    larger frame has more detail and not a blurred one. 4:2:0, BT.709, libx264's preset ``fast``.

    Raises:
        BackendError: this FFmpeg has no libx264.
    """
    mosaic = Image.fromarray(_mosaic(pictures, round(_MARGIN * height), round(_MARGIN * width)))
    part = path.with_name(f".part-{path.name}")  # or an interrupted run leaves half a clip to the next one
    try:
        with av.open(str(part), "w") as container:
            stream = container.add_stream("libx264", rate=fps)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.colorspace, stream.codec_context.color_range = 1, 1
            stream.options = {"preset": "fast", "crf": str(crf)}
            for view in _views(mosaic, height, width, frames, fps):
                picture = av.VideoFrame.from_ndarray(np.asarray(view), format="rgb24")
                yuv = picture.reformat(format="yuv420p", dst_colorspace=1)
                container.mux(stream.encode(yuv))
            container.mux(stream.encode(None))
        part.replace(path)
    except (av.error.FFmpegError, ValueError) as error:
        raise BackendError(f"{path}: FFmpeg did not encode it ({error}); install PyAV's own build") from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _mosaic(pictures: Sequence[Frame], height: int, width: int) -> Frame:
    """Rows of ``pictures`` until ``height`` x ``width`` is covered; every second round is mirrored."""
    mosaic = np.zeros((height, width, 3), np.uint8)
    top = number = 0
    while top < height:
        left, lowest = 0, height
        while left < width:
            turn, which = divmod(number, len(pictures))
            picture = pictures[which][:, :: -1 if turn % 2 else 1]
            part = picture[: height - top, : width - left]
            mosaic[top : top + part.shape[0], left : left + part.shape[1]] = part
            lowest = min(lowest, top + picture.shape[0])
            left, number = left + picture.shape[1], number + 1
        top = lowest
    return mosaic


def _views(mosaic: Image.Image, height: int, width: int, frames: int, fps: int) -> Iterator[Image.Image]:
    """What the camera sees, resampled bilinearly: an ellipse over the mosaic, and a breath of zoom."""
    for index in range(frames):
        angle = 2 * pi * index / (fps * _PERIOD)
        zoom = 1 - 0.05 * (1 + sin(3 * angle)) / 2
        high, wide = zoom * height, zoom * width
        top = (mosaic.height - high) * (1 + sin(angle)) / 2
        left = (mosaic.width - wide) * (1 + cos(angle)) / 2
        box = (left, top, left + wide, top + high)
        yield mosaic.resize((width, height), Image.Resampling.BILINEAR, box=box)
