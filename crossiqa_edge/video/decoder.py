"""Opening a container with FFmpeg: in software, or on the hardware that was asked for, and why."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from crossiqa_edge.errors import ConfigError, InputError
from crossiqa_edge.video.address import Address
from crossiqa_edge.video.redact import redact

if int(av.__version__.split(".")[0]) < 13:  # PyAV 12 lets FFmpeg print, and URLs are among what it prints
    av.logging.set_level(av.logging.PANIC)

SOFTWARE, AUTO = "software", "auto"
# What `auto` tries: device type of FFmpeg, and a file that is there when the device may be.
_SIGNS = {"cuda": "/dev/nvidiactl", "vaapi": "/dev/dri/renderD128", "videotoolbox": "/System/Library"}


def open_container(
    address: Address, *, hardware: str, timeout: float, threads: int | None, low_delay: bool
) -> tuple[Any, str]:
    """An open input container, and what decodes its video, and why that, in words.

    Args:
        hardware: ``software``, ``auto`` (hardware where it is found and works), or a device type of FFmpeg
            such as ``cuda`` or ``vaapi``, which is then used or refused.
        timeout: seconds to wait for a connection, and later for data.
        threads: of a software decoder; None leaves it to FFmpeg.
        low_delay: decode slices rather than frames in parallel: slower on most streams, delays no frame.

    Raises:
        ConfigError: no such device type in this FFmpeg.
        InputError: it cannot be opened, holds no video, or the device does not decode it.
    """
    device, why = _choice(hardware)
    if device is not None:
        container, trouble = _attempt(address, timeout, device)
        if container is not None:
            return container, f"{_video(container, address).codec_context.name} on {device}, {why}"
        why = f"{device} does not decode it ({trouble})"
        if hardware != AUTO:
            raise InputError(f"{address.name}: {why}; decode in software")
    container, trouble = _attempt(address, timeout, None)
    if container is None:
        raise InputError(f"{address.name}: cannot be opened ({trouble}); check that it is a video, and whole")
    context = _video(container, address).codec_context
    context.thread_type = "SLICE" if low_delay else "AUTO"
    context.thread_count = threads or 0
    return container, f"{context.name} in software, {why}"


def said(error: Exception) -> str:
    """What FFmpeg says, in one line without credentials."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return redact(" ".join(words.split()))


def _attempt(address: Address, timeout: float, device: str | None) -> tuple[Any | None, str]:
    """An open container, or None and the reason.

    FFmpeg's own error, which names the whole URL, goes no further: not even as another error's cause.
    """
    more: dict[str, Any] = {}
    limits = (timeout, timeout)
    try:
        if device is not None:
            from av.codec.hwaccel import HWAccel

            more["hwaccel"] = HWAccel(device, allow_software_fallback=False)
        options = dict(address.options)
        return av.open(address.target, format=address.format, options=options, timeout=limits, **more), ""
    except (FFmpegError, OSError, RuntimeError, ValueError) as error:
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
    return None, f"no hardware decoder found on this {sys.platform} machine"


def _offered() -> set[str]:
    """Device types that this PyAV was built with; none before PyAV 14, which brought them."""
    try:
        from av.codec.hwaccel import hwdevices_available
    except ImportError:
        return set()
    return set(hwdevices_available())
