"""``PatternSource``: an endless made-up video, for trying things out where there is no camera."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import cos, pi, sin

from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.sampling import MIN_SIDE
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.video.address import Address
from crossiqa_edge.video.frames import STOPPED, SourceEnd, SourceFacts, VideoFrame
from crossiqa_edge.video.planes import RGB

_FORM = re.compile(r"(?:(\d{1,5})x(\d{1,5}))?(?:@(\d{1,3}))?")
_SWING = 64  # pixels that the view moves, either way
_LARGEST = 7680  # pixels a side
_PERIOD = 240  # frames of one round


class PatternSource:
    """A view that circles over one photograph-like picture: ``WIDTHxHEIGHT@FPS``, 640x360@30 by default."""

    def __init__(self, address: Address) -> None:
        """Make the picture.

        Raises:
            InputError: not of the form above, or sides that are too small or too large.
        """
        found = _FORM.fullmatch(address.target)
        if found is None:
            raise InputError(f"{address.name}: write testpattern:, or for instance testpattern:1280x720@30")
        width, height, fps = int(found[1] or 640), int(found[2] or 360), int(found[3] or 30)
        if min(width, height) < MIN_SIDE or max(width, height) > _LARGEST or not fps:
            raise InputError(
                f"{address.name}: sides are {MIN_SIDE} to {_LARGEST} pixels, at least 1 frame a second"
            )
        self._picture = photo_like(0, height + 2 * _SWING, width + 2 * _SWING)
        self._closed = False
        self.end: SourceEnd | None = None
        self.facts = SourceFacts(
            name=address.name,
            codec="none",
            width=width,
            height=height,
            fps=float(fps),
            frames=None,
            duration=None,
            pixel_format="rgb24",
            matrix=RGB,
            full_range=True,
            rotation=0,
            interlaced=False,
            live=False,
            decoder="none, the pictures are made here",
        )

    def close(self) -> None:
        self._closed = True

    def __iter__(self) -> Iterator[VideoFrame]:
        index = 0
        while not self._closed:
            angle = 2 * pi * (index % _PERIOD) / _PERIOD
            top, left = round(_SWING * (1 + sin(angle))), round(_SWING * (1 + cos(angle)))
            view = self._picture[top : top + self.facts.height, left : left + self.facts.width]
            yield VideoFrame(index, index / (self.facts.fps or 1), view)
            index += 1
        self.end = SourceEnd(STOPPED, "stopped")
