"""Standard input, read front to back: a picture or a clip, told by its first bytes."""

from __future__ import annotations

from typing import IO, Protocol, cast

HEAD = 377  # bytes that tell: three packets of a transport stream begin within them
_PACKET = 188

# What containers of video begin with, and what stands at which place; of pictures none does.
_BEGINNINGS = (
    b"YUV4MPEG2 ",
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG-1 and MPEG-2 video
    b"\x00\x00\x00\x01",  # H.264 and H.265 in start codes
    b"FLV\x01",
    b"OggS",
    b"nut/multimedia container",
    b"DKIF",
    b"\x30\x26\xb2\x75",  # ASF
    b"\x06\x0e\x2b\x34",  # MXF
)
_BOXES = (b"ftyp", b"moov", b"mdat", b"styp", b"moof", b"free", b"skip", b"wide")
_PICTURE_BRANDS = (b"avif", b"avis", b"mif1", b"msf1", b"miaf", b"heic", b"heix")


class Readable(Protocol):
    """Something to read from: at most ``size`` bytes as soon as there are any, none at its end."""

    def read(self, size: int, /) -> bytes: ...


class Reunited:
    """A stream whose first bytes have been looked at: they come out once more."""

    def __init__(self, head: bytes, rest: Readable) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int, /) -> bytes:
        head, self._head = self._head[:size], self._head[size:]
        return head or self._rest.read(size)


def unbuffered(stream: IO[bytes]) -> Readable:
    """``stream`` without the buffer that keeps what comes slowly, and that a thread must not leave locked."""
    return cast(Readable, getattr(stream, "raw", stream))


def looked_at(stream: Readable) -> tuple[bytes, Readable]:
    """The first ``HEAD`` bytes, fewer if there are no more, and the stream with all of its bytes."""
    head = b""
    while len(head) < HEAD and (more := stream.read(HEAD - len(head))):
        head += more
    seekable = getattr(stream, "seekable", None)
    if seekable is not None and seekable():  # a file: what is at its end can be read first
        stream.seek(-len(head), 1)  # type: ignore[attr-defined]
        return head, stream
    return head, Reunited(head, stream)


def is_clip(head: bytes) -> bool:
    """Whether the first ``HEAD`` bytes are those of a video; what is neither video nor picture is not."""
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    if head[4:8] in _BOXES:
        return not (head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS)
    packets = head[::_PACKET]
    return head.startswith(_BEGINNINGS) or (len(packets) == 3 and packets == b"GGG")
