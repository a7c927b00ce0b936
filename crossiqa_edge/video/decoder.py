"""Opening a container with FFmpeg: in software, or on the hardware that was asked for, and why."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import av
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.error import FFmpegError

from crossiqa_edge.errors import ConfigError, InputError
from crossiqa_edge.video import v4l2
from crossiqa_edge.video.address import FILE, STREAM, Address
from crossiqa_edge.video.redact import redact

SOFTWARE, AUTO = "software", "auto"
# What `auto` tries: device type of FFmpeg, and a file that is there when the device may be.
_SIGNS = {"cuda": "/dev/nvidiactl", "vaapi": "/dev/dri/renderD128", "videotoolbox": "/System/Library"}
_PIPE_BUFFER = 1 << 20  # bytes asked for at once: each time, Python's lock is taken


class Decoder(Protocol):
    """From packets to frames."""

    def decode(self, packet: Any) -> list[Any]:
        """The frames that come out after ``packet``; None brings out the last."""

    def restart(self) -> None:
        """Forget what was decoded: after a seek, packets go on from another place."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An open input container, the decoder of its video, and which one that is and why, in words."""

    container: Any
    decoder: Decoder
    how: str


class _StreamDecoder:
    """The decoder that PyAV opens with the stream, in software or on one of FFmpeg's devices."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def decode(self, packet: Any) -> list[Any]:
        frames: list[Any] = self._stream.decode(packet)
        return frames

    def restart(self) -> None:
        """PyAV flushes it when it seeks."""


def _unopened(address: Address, trouble: str) -> str:
    """Why nothing was opened, and what to look at."""
    if address.kind == STREAM:
        return f"cannot be opened ({trouble}); check the address, and that a video is sent there"
    with suppress(OSError, ValueError):
        if address.kind == FILE and not Path(address.target.removeprefix("file:")).stat().st_size:
            return "empty, 0 bytes"
    return f"cannot be opened ({trouble}); check that it is a video, and whole"


def open_container(
    address: Address, *, hardware: str, timeout: float, threads: int | None, low_delay: bool
) -> Opened:
    """Open ``address`` and a decoder of its video.

    Args:
        hardware: ``software``, ``auto`` (hardware where it is found and works), ``v4l2m2m``, or a device type
            of FFmpeg such as ``cuda`` or ``vaapi``; a named one is used or refused.
        timeout: seconds to wait for a connection, and later for data.
        threads: of a software decoder; None leaves it to FFmpeg.
        low_delay: decode slices rather than frames in parallel, H.264 on one thread: slower on most streams,
            delays no frame.

    Raises:
        ConfigError: no such device type in this FFmpeg.
        InputError: it cannot be opened, holds no video, or the device does not decode it.
    """
    device, why = _choice(hardware)
    if device is not None:
        opened, trouble = _attempt(address, timeout, device, why)
        if opened is not None:
            return opened
        why = f"{device} does not decode it ({trouble})"
        if hardware != AUTO:
            raise InputError(f"{address.name}: {why}; decode in software")
    opened, trouble = _attempt(address, timeout, None, why)
    if opened is None:
        raise InputError(f"{address.name}: {_unopened(address, trouble)}")
    context = opened.container.streams.video[0].codec_context
    context.thread_type = "SLICE" if low_delay else "AUTO"
    # Decoding slices in parallel, FFmpeg's H.264 decoder no longer tells which pictures are damaged. So one
    # core must keep up with a live one; what it cannot, of 4K say, is for a hardware decoder.
    context.thread_count = 1 if low_delay and context.name == "h264" else threads or 0
    return opened


def said(error: Exception) -> str:
    """What FFmpeg says, in one line without credentials."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return redact(" ".join(words.split()))


def _attempt(address: Address, timeout: float, device: str | None, why: str) -> tuple[Opened | None, str]:
    """``address`` opened for decoding on ``device``, None for software; or None and the reason.

    FFmpeg's own error, which names the whole URL, goes no further: not even as another error's cause.
    """
    more: dict[str, Any] = {}
    limits = (timeout, timeout)
    try:
        if device is not None and device != v4l2.V4L2:
            more["hwaccel"] = HWAccel(device, allow_software_fallback=False)
        if address.opened is not None:
            more["buffer_size"] = _PIPE_BUFFER
        target, options = address.opened or address.target, dict(address.options)
        container = av.open(target, format=address.format, options=options, timeout=limits, **more)
    except (FFmpegError, OSError, RuntimeError, ValueError) as error:
        return None, said(error)
    stream = _video(container, address)
    codec = f"{stream.codec_context.name} {'in' if device is None else 'on'} {device or SOFTWARE}, {why}"
    if device != v4l2.V4L2:
        return Opened(container, _StreamDecoder(stream), codec), ""
    try:
        return Opened(container, v4l2.V4l2Decoder(container, stream), codec), ""
    except (InputError, FFmpegError, OSError, ValueError) as error:
        container.close()
        return None, said(error)


def _video(container: Any, address: Address) -> Any:
    if not container.streams.video:
        container.close()
        raise InputError(f"{address.name}: holds no video")
    return container.streams.video[0]


def _choice(hardware: str) -> tuple[str | None, str]:
    """A device type to try, None for software; and the reason."""
    if hardware == SOFTWARE:
        return None, "as asked"
    offered = _offered()
    if hardware != AUTO:
        if hardware not in offered:
            raise ConfigError(
                f"this FFmpeg does not offer {hardware!r} to decode; it offers "
                f"{', '.join(sorted({SOFTWARE, AUTO, *offered}))}"
            )
        return hardware, "as asked"
    for device, sign in _SIGNS.items():
        if device in offered and Path(sign).exists():
            return device, f"found {sign}"
    found = v4l2.sign() if v4l2.V4L2 in offered else None
    if found is not None:
        return v4l2.V4L2, f"found {found}"
    return None, f"no hardware decoder found on this {sys.platform} machine"


def _offered() -> set[str]:
    """What this PyAV was built with."""
    codecs = {v4l2.V4L2} if v4l2.offered() else set()
    return codecs | set(hwdevices_available())
