"""``open_source``: from what a user names to frames with time stamps."""

from __future__ import annotations

import os

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.video.address import (
    CAMERA,
    FOLDER,
    GSTREAMER,
    STREAM,
    TESTPATTERN,
    Address,
    address_of,
)
from crossiqa_edge.video.container import ContainerSource
from crossiqa_edge.video.decoder import SOFTWARE
from crossiqa_edge.video.folder import FolderSource
from crossiqa_edge.video.frames import FrameSource
from crossiqa_edge.video.gstreamer import PipelineReading
from crossiqa_edge.video.pattern import PatternSource
from crossiqa_edge.video.reading import Reading

FOLDER_FPS = 25.0


def open_source(
    source: str | os.PathLike[str] | Address,
    *,
    start: float | None = None,
    hardware: str = SOFTWARE,
    threads: int | None = None,
    timeout: float = 10.0,
    patience: float = 60.0,
    folder_fps: float = FOLDER_FPS,
) -> FrameSource:
    """Open a source of video; its first frame has been read when this returns.

    Args:
        source: see ``crossiqa_edge.video.address.address_of``.
        start: seek to the key frame before so many seconds, where the source allows it; frames are
            counted from there.
        hardware: ``software``, ``auto``, ``v4l2m2m``, or a device type of FFmpeg (``cuda``, ``vaapi``);
            ``facts.decoder`` says what came of it.
        threads: of a software decoder; None leaves it to FFmpeg.
        timeout: seconds to wait for a connection, and for data.
        patience: seconds during which a lost live source is tried again; 0 gives up at once.
        folder_fps: frames a second of a folder of pictures.

    Raises:
        InputError: nothing there, not allowed, not a video, or nothing in it that can be judged.
        ConfigError: unknown ``hardware``, or a value out of range.
    """
    if timeout <= 0 or patience < 0 or folder_fps <= 0:
        raise ConfigError("timeout and folder_fps must be above 0, patience at least 0")
    address = source if isinstance(source, Address) else address_of(source)

    def reading() -> Reading:
        if address.kind == GSTREAMER:
            return PipelineReading(address, timeout=timeout)
        return Reading(address, hardware=hardware, timeout=timeout, threads=threads, start=start)

    if address.kind == FOLDER:
        return FolderSource(address, fps=folder_fps)
    if address.kind == TESTPATTERN:
        return PatternSource(address)
    return ContainerSource(
        reading, patience=patience, reopen=address.kind in (CAMERA, STREAM) and patience > 0
    )
