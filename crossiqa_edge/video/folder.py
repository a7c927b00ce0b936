"""``FolderSource``: the pictures of a folder as the frames of a video, in natural order."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.decode import decode, decode_judgeable
from crossiqa_edge.imaging.gather import gather
from crossiqa_edge.video.address import Address
from crossiqa_edge.video.frames import COMPLETE, DAMAGED, STOPPED, SourceEnd, SourceFacts, VideoFrame
from crossiqa_edge.video.planes import RGB
from crossiqa_edge.video.results import GapEvent


class FolderSource:
    """Pictures at ``fps`` frames a second; one that is too small or cannot be read is a gap of one frame."""

    def __init__(self, address: Address, *, fps: float) -> None:
        """List the folder.

        Raises:
            InputError: no picture in it, or the first cannot be read.
        """
        found = [entry.source for entry in gather([address.target]) if not entry.clip]
        self._pictures = [source for source in found if isinstance(source, str | InputError)]
        if not self._pictures:
            raise InputError(f"{address.name}: a folder of clips, not of pictures; give the clips")
        first = self._pictures[0]
        if isinstance(first, InputError):
            raise first
        height, width = decode(first).shape[:2]
        self._fps = fps
        self._closed = False
        self.end: SourceEnd | None = None
        self.facts = SourceFacts(
            name=address.name,
            codec="pictures",
            width=width,
            height=height,
            fps=fps,
            frames=len(self._pictures),
            duration=len(self._pictures) / fps,
            pixel_format="rgb24",
            matrix=RGB,
            full_range=True,
            rotation=0,
            interlaced=False,
            live=False,
            decoder="Pillow",
        )

    def close(self) -> None:
        self._closed = True

    def __iter__(self) -> Iterator[VideoFrame | GapEvent]:
        bad: list[str] = []
        for index, source in enumerate(self._pictures):
            if self._closed:
                self.end = SourceEnd(STOPPED, "stopped")
                return
            start = perf_counter()
            try:
                if isinstance(source, InputError):
                    raise source
                picture = decode_judgeable(source)
            except InputError as error:
                bad.append(str(error))
                yield GapEvent(index - 1 if index else None, index / self._fps, 1 / self._fps, str(error))
                continue
            yield VideoFrame(index, index / self._fps, picture, 1e3 * (perf_counter() - start))
        self.end = SourceEnd(DAMAGED, bad[0]) if bad else SourceEnd(COMPLETE, "all pictures read")
