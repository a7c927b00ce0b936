"""Reading a clip again after it has been scored: for stills, and for copies with something drawn on them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress

from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.video.frames import VideoFrame
from crossiqa_edge.video.source import open_source

_FAR = 10.0  # seconds: over a longer way the clip is opened again there, rather than decoded up to there
_CLOSE = 1e-3  # seconds by which a time stamp may differ after seeking


def frames_between(source: str, first: float, last: float) -> Iterator[VideoFrame]:
    """The frames of ``source`` with time stamps from ``first`` to ``last`` seconds, both included.

    Args:
        source: as for ``open_source``, something that can be read again.

    Raises:
        InputError: it cannot (any more).
    """
    opened = open_source(source, start=max(first, 0.0) or None)
    try:
        for frame in opened:
            if isinstance(frame, VideoFrame) and frame.pts >= first - _CLOSE:
                if frame.pts > last + _CLOSE:
                    break
                yield frame
    finally:
        opened.close()


def stills(source: str, moments: Collection[float]) -> dict[float, Frame]:
    """The frames shown at ``moments``, uint8 (H, W, 3); those that cannot be read (any more) are left out.

    Args:
        source: as for ``frames_between``.
        moments: presentation times in seconds, as ``FrameScore.pts``.
    """
    found: dict[float, Frame] = {}
    group: list[float] = []
    for moment in sorted(moments):
        if group and moment - group[-1] > _FAR:
            found |= _read(source, group)
            group = []
        group.append(moment)
    return found | _read(source, group) if group else found


def _read(source: str, moments: Sequence[float]) -> dict[float, Frame]:
    """The frames at ``moments``, in order of time, by decoding from the first to the last."""
    found: dict[float, Frame] = {}
    wanted = iter(moments)
    moment = next(wanted)
    with suppress(InputError, StopIteration):
        for frame in frames_between(source, moments[0], moments[-1]):
            if frame.pts > moment - _CLOSE:
                found[moment] = frame.rgb()
                moment = next(wanted)
    return found
