"""Single frames of a clip, read again after it has been scored."""

from __future__ import annotations

from collections.abc import Collection

from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.video.frames import VideoFrame


def stills(source: str, wanted: Collection[int]) -> dict[int, Frame]:
    """The frames ``wanted``, by index, uint8 (H, W, 3); those that cannot be read (any more) are left out.

    The clip is decoded from its beginning to the last of them, since only so is an index sure.
    """
    from crossiqa_edge.video.source import open_source

    found: dict[int, Frame] = {}
    try:
        opened = open_source(source)
    except InputError:
        return found
    try:
        for frame in opened:
            if isinstance(frame, VideoFrame) and frame.index in wanted:
                found[frame.index] = frame.rgb()
                if len(found) == len(wanted):
                    break
    finally:
        opened.close()
    return found
