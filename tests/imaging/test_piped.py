"""Pictures and clips told by their first bytes, and streams that keep these."""

from __future__ import annotations

import io
import os

import pytest
from picture_files import PICTURE, encoded

from crossiqa_edge.imaging.decode import FORMATS
from crossiqa_edge.imaging.piped import HEAD, Reunited, is_clip, looked_at

_PACKETS = b"".join(b"G" + bytes(187) for _ in range(3))


@pytest.mark.parametrize("form", FORMATS)
def test_no_picture_is_taken_for_a_clip(form: str) -> None:
    assert not is_clip(encoded(PICTURE, form)[:HEAD])


@pytest.mark.parametrize(
    ("head", "clip"),
    [
        (b"YUV4MPEG2 W64 H48 F25:1", True),
        (_PACKETS[:HEAD], True),
        (b"G" + bytes(400), False),  # one byte alone tells no transport stream
        (_PACKETS[:188], False),
        (b"\0\0\0\x20ftypisom", True),
        (b"\0\0\0\x20ftypavif", False),
        (b"\0\0\0\x08wide\0\0\0\0mdat", True),
        (b"RIFF\0\0\0\0AVI LIST", True),
        (b"RIFF\0\0\0\0WEBPVP8 ", False),
        (b"", False),
        (b"G", False),
    ],
)
def test_clips_are_told(head: bytes, clip: bool) -> None:
    assert is_clip(head) is clip


class Slow:
    """A pipe whose writer sends a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int, /) -> bytes:
        return self._data.read(min(size, 7))


@pytest.mark.parametrize("size", [0, 5, HEAD, HEAD + 1000])
def test_what_was_looked_at_comes_out_once_more(size: int) -> None:
    data = os.urandom(size)
    head, stream = looked_at(Slow(data))
    assert head == data[:HEAD] and isinstance(stream, Reunited)
    read = b""
    while part := stream.read(100):
        read += part
    assert read == data


def test_a_file_is_given_back_as_it_was() -> None:
    for read_before in (0, 300):  # by a shell that has taken the first line, say
        file = io.BytesIO(bytes(1000))
        file.seek(read_before)
        _, stream = looked_at(file)
        assert stream is file and file.tell() == read_before
