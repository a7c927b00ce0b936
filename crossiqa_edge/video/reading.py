"""``Reading``: one opening of a container, from its first frame to wherever it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from time import perf_counter
from typing import Any

from av.error import FFmpegError

from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.piped import Readable
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.imaging.yuv import Planes
from crossiqa_edge.video.address import CAMERA, FILE, GSTREAMER, PIPE, STREAM, Address
from crossiqa_edge.video.decoder import open_container, said
from crossiqa_edge.video.frames import SourceFacts
from crossiqa_edge.video.planes import full_range_of, matrix_of, picture_of, rotation_of

_PATIENCE = 250  # damaged frames at the beginning, as after joining a broadcast, until a source is given up
# Seconds by which a seek goes further back where the one before landed too late, as in transport streams.
_STEPS_BACK = (0.0, 5.0, 30.0, float("inf"))
_BEFORE_ALL = -10.0
# Bytes; a transport stream that ends inside one was cut off. As it is, with a time stamp (cameras and discs
# write it so, as .mts and .m2ts), with parity.
_TS_PACKETS = (188, 192, 204)
# Containers whose header tells how long the video is; others' durations are guessed from the data there is.
_INDEXED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A frame as the decoder gave it.

    Attributes:
        picture: None if it is damaged: what a decoder makes up for lost parts is not judged.
        stamp, duration: seconds on the stream's own scale; None where the stream does not say.
        decode_ms: what decoding took, without waiting for data.
    """

    picture: Planes | Frame | None
    stamp: float | None
    duration: float | None
    decode_ms: float


class Counted:
    """A stream that tells how many bytes were read of it."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self.count += len(data)
        return data


def _seekable(stream: Readable) -> bool:
    seekable = getattr(stream, "seekable", None)
    return seekable is not None and bool(seekable())


class ReadingError(Exception):
    """Reading broke off; the message is one line without credentials."""


class Reading:
    """An open container with its first sound frame decoded, so that what it says of itself is checked.

    Attributes:
        facts: see ``SourceFacts``.
        origin: the time stamp at which the stream says it begins, in seconds; None if it does not say.
        indexed: whether the container keeps a timeline of its own, which has no holes but those it means.
    """

    def __init__(
        self, address: Address, *, hardware: str, timeout: float, threads: int | None, start: float | None
    ) -> None:
        """Open ``address``; ``start``, in seconds, seeks to the key frame before it where that is possible.

        Raises:
            InputError: it cannot be opened, or gives no frame that can be judged.
            ConfigError: unknown ``hardware``.
        """
        self._kind = address.kind
        self._until = 0.0
        self._read_to = 0  # bytes into the file, at the end of the packets read so far
        self._suspects: set[int] = set()  # time stamps of packets that arrived damaged
        self._counted: Counted | None = None  # where nobody knows the size before the end
        if address.opened is not None and not _seekable(address.opened):
            self._counted = Counted(address.opened)
            address = replace(address, opened=self._counted)
        opened = open_container(
            address, hardware=hardware, timeout=timeout, threads=threads, low_delay=address.kind != FILE
        )
        self._container, self._decoder = opened.container, opened.decoder
        try:
            self._stream = self._container.streams.video[0]
            self.indexed = self._container.format.name in _INDEXED
            # AVI numbers pictures as they are decoded; when they are shown FFmpeg makes up, out of order.
            self._unstamped = self._container.format.name == "avi"
            self.origin = None if self._unstamped else self._seconds(self._stream.start_time)
            first = self._begin(address)
            if start and self._container.duration and self.origin is not None:
                first = self._sought(address, start, self.origin) or first
            self.facts = self._facts(first, address, opened.how)
        except BaseException:
            self._container.close()
            raise

    def frames(self) -> Iterator[Decoded]:
        """Frames in order of presentation, up to the end.

        Raises:
            ReadingError: the connection or the file broke off.
            InputError: in mid-stream the pictures became such as cannot be judged.
        """
        for frame, decode_ms in self._frames:
            stamp = duration = None
            sound = frame is not None and not frame.is_corrupt
            if frame is not None:
                yield from self._never_decoded(frame.pts)
                sound = sound and frame.pts not in self._suspects
                self._suspects.discard(frame.pts)
                stamp = self._seconds(frame.dts if self._unstamped else frame.pts)
                duration = self._seconds(frame.duration or None)
                self._until = max(self._until, (stamp or 0.0) + (duration or 0.0))
            yield Decoded(picture_of(frame) if sound else None, stamp, duration, decode_ms)
        yield from self._never_decoded(None)

    def shortfall(self) -> str | None:
        """After the last frame of a file or pipe: why it is taken to be cut off; None if it is whole."""
        form = self._container.format.name if self._kind in (FILE, PIPE) else ""
        size = self._container.size if self._counted is None else self._counted.count
        if form == "mpegts" and all(size % packet for packet in _TS_PACKETS):
            return "ends inside a transport stream packet"
        if form == "yuv4mpegpipe" and self._read_to < size:  # half a picture is no packet
            return "ends inside a picture"
        announced = self._announced() if self.indexed else None
        if announced is None:
            return None
        # Matroska counts from the file's beginning, the others from that of the video.
        from_file = self._container.format.name.startswith("matroska")
        until = self._until - (0.0 if from_file else self.origin or 0.0)
        frame = 1 / float(self._stream.average_rate or 25)
        if announced - until <= 2 * frame + 0.1:
            return None
        return f"ends at {until:.2f} s of the {announced:.2f} s that its header announces"

    def close(self) -> None:
        """Close the container; only from the thread that iterates."""
        self._container.close()

    def _seconds(self, ticks: int | None) -> float | None:
        base = self._stream.time_base
        return None if ticks is None or base is None else float(ticks * base)

    def _seek(self, stamp: float) -> bool:
        """Go to the key frame before ``stamp``, in seconds; False where that cannot be done."""
        try:
            ticks = int(stamp / float(self._stream.time_base))
            self._container.seek(ticks, stream=self._stream, backward=True)
            self._decoder.restart()
        except (FFmpegError, OSError, ValueError):
            return False
        return True

    def _sought(self, address: Address, start: float, origin: float) -> Any | None:
        """Begin anew at the key frame before ``start``, and return that; None where that cannot be done."""
        for step in _STEPS_BACK:
            if not self._seek(origin + max(start - step, _BEFORE_ALL)):
                return None
            with suppress(InputError):  # too close to the end to find a key frame
                first = self._begin(address, joining=True)
                if (self._seconds(first.pts) or 0.0) - origin <= start or step == _STEPS_BACK[-1]:
                    return first
        return None

    def _begin(self, address: Address, *, joining: bool = False) -> Any:
        """Decode up to the first sound frame and return it; ``frames`` begins with it.

        Where nothing is joined in its middle, ``frames`` begins with the damaged ones before it.
        """
        decoding = self._decoding()
        head, first = self._head(decoding, address.name)
        self._frames = chain(head[-1:] if joining or address.kind not in (FILE, PIPE) else head, decoding)
        return first

    def _never_decoded(self, before: int | None) -> Iterator[Decoded]:
        """Damaged pictures for damaged packets that no frame came of, up to the time stamp ``before``."""
        for ticks in sorted(ticks for ticks in self._suspects if before is None or ticks < before):
            self._suspects.discard(ticks)
            yield Decoded(None, self._seconds(ticks), None, 0.0)

    def _decoding(self) -> Iterator[tuple[Any, float]]:
        """(frame, None if it could not be decoded; milliseconds it took), up to the end."""
        spent = 0.0
        for packet in self._packets():
            if packet is not None and packet.is_corrupt and packet.pts is not None:
                self._suspects.add(packet.pts)
            start = perf_counter()
            try:
                frames = self._decoder.decode(packet)
            except (FFmpegError, OSError, ValueError):  # a damaged packet: the next may be sound
                frames = [None]
            spent += perf_counter() - start
            for frame in frames:
                yield frame, 1e3 * spent / len(frames)
            spent = 0.0 if frames else spent

    def _packets(self) -> Iterator[Any]:
        """Packets, then None, which brings out what the decoder still holds; then the error, if any."""
        broken = ""
        try:
            for packet in self._container.demux(self._stream):
                if packet.size:
                    self._read_to = max(self._read_to, (packet.pos or 0) + packet.size)
                    yield packet
        except (FFmpegError, OSError) as error:
            broken = said(error)  # the error itself may name a URL with its password
        yield None
        if broken:
            raise ReadingError(broken)

    def _head(self, decoding: Iterator[tuple[Any, float]], name: str) -> tuple[list[tuple[Any, float]], Any]:
        """What is decoded up to the first sound frame, and that frame."""
        head: list[tuple[Any, float]] = []
        try:
            for item in decoding:
                head.append(item)
                if item[0] is not None and not item[0].is_corrupt:
                    picture_of(item[0])
                    return head, item[0]
                if len(head) >= _PATIENCE:
                    break
        except ReadingError as error:
            hint = "; an MP4 in a pipe needs its index first (faststart)" if self._kind == PIPE else ""
            raise InputError(f"{name}: broke off before its first frame ({error}){hint}") from error
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        raise InputError(f"{name}: gives no frame that is whole; check that it can be played")

    def _facts(self, frame: Any, address: Address, decoder: str) -> SourceFacts:
        upright = rotation_of(frame) % 180 == 0
        stream = self._stream
        rate = stream.average_rate or stream.guessed_rate
        duration = self._announced()
        remote = address.kind == STREAM and duration is None
        return SourceFacts(
            name=address.name,
            codec=stream.codec_context.name,
            width=frame.width if upright else frame.height,
            height=frame.height if upright else frame.width,
            fps=float(rate) if rate else None,
            frames=stream.frames or None,
            duration=duration,
            pixel_format=frame.format.name,
            matrix=matrix_of(frame),
            full_range=full_range_of(frame),
            rotation=rotation_of(frame),
            interlaced=bool(frame.interlaced_frame),
            live=remote or address.kind in (CAMERA, GSTREAMER),
            decoder=decoder,
        )

    def _announced(self) -> float | None:
        """Seconds of video as the container tells them, the video's own before those of the whole file."""
        tag = self._stream.metadata.get("DURATION", "")  # Matroska's, for each track
        parts = tag.strip("\0 ").split(":")
        if len(parts) == 3:
            try:
                return 3600 * float(parts[0]) + 60 * float(parts[1]) + float(parts[2])
            except ValueError:
                pass
        if self._stream.duration:
            return self._seconds(self._stream.duration)
        only = len(self._container.streams) == 1 and self._container.duration
        return self._container.duration / 1e6 if only else None
