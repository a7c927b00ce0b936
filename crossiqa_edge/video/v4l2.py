"""Decoders that Video4Linux offers from memory to memory, as on a Raspberry Pi.

To FFmpeg they are codecs of their own (``h264_v4l2m2m``), not a device that its usual decoders hand work to.
So a second decoder is opened beside the stream's own, and told what that would know from the container. What
cannot be told is how frames are turned: the first frame is decoded in software to find out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from crossiqa_edge.errors import InputError
from crossiqa_edge.video.planes import rotation_of

V4L2 = "v4l2m2m"
_DEVICES = Path("/sys/class/video4linux")
_TURNING = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")  # containers that can say how frames are turned


def offered() -> bool:
    """Whether this FFmpeg was built with any such decoder."""
    return any(name.endswith(f"_{V4L2}") for name in av.codecs_available)


def sign() -> str | None:
    """The first device whose driver calls itself a decoder, None without one; it need not decode it all."""
    try:
        drivers = {name.parent.name: name.read_text() for name in sorted(_DEVICES.glob("*/name"))}
    except OSError:
        return None
    return next((f"/dev/{device}" for device, driver in drivers.items() if "dec" in driver), None)


class V4l2Decoder:
    """A decoder of Video4Linux for ``stream``; FFmpeg finds the device.

    Raises:
        InputError: no such decoder for this codec, no device that has it, or frames that are to be turned.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        self._stream = stream
        codec = stream.codec_context.name
        self._name = f"{codec.removesuffix('video')}_{V4L2}"  # mpeg2video's is mpeg2_v4l2m2m
        if self._name not in av.codecs_available:
            raise InputError(f"FFmpeg has no {self._name}")
        if container.format.name in _TURNING:
            _check_upright(container, stream)
        self._context = self._opened()

    def decode(self, packet: Any) -> list[Any]:
        """The frames that come out after ``packet``; None brings out the last."""
        frames: list[Any] = self._context.decode(packet)
        return frames

    def restart(self) -> None:
        """Forget what was decoded: packets go on from another place. FFmpeg cannot flush these decoders."""
        self._context = self._opened()

    def _opened(self) -> Any:
        model = self._stream.codec_context
        context: Any = av.CodecContext.create(self._name, "r")
        context.extradata = model.extradata
        context.width, context.height = model.width, model.height
        context.options = {"pkt_timebase": str(self._stream.time_base)}  # else all time stamps become 0
        try:
            context.open()
        except FFmpegError as error:
            raise InputError(f"FFmpeg finds no device for {self._name}: {error.strerror}") from error
        return context


def _check_upright(container: Any, stream: Any) -> None:
    """InputError unless the first frame, decoded in software, is upright; goes back to the beginning."""
    frame = next(container.decode(stream), None)
    degrees = rotation_of(frame) if frame is not None else 0
    if degrees:
        raise InputError(f"it would not tell that frames are turned by {degrees} degrees")
    container.seek(container.start_time or 0)
