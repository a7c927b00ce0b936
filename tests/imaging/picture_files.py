"""Encoded pictures, good and bad, that the tests of this room share."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from PIL import Image, features

from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.testpattern import photo_like

FRAME = photo_like(3, 40, 56)
PICTURE = Image.fromarray(FRAME)
GREY = FRAME[..., 1]


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


LOSSLESS = {
    "PNG": encoded(PICTURE, "PNG"),
    "WEBP": encoded(PICTURE, "WEBP", lossless=True),
    "BMP": encoded(PICTURE, "BMP"),
    "TIFF": encoded(PICTURE, "TIFF"),
    "TIFF LZW": encoded(PICTURE, "TIFF", compression="tiff_lzw"),
    "PPM": encoded(PICTURE, "PPM"),
    "JPEG2000": encoded(PICTURE, "JPEG2000"),
}
LOSSY = {
    "JPEG": encoded(PICTURE, "JPEG", quality=95, subsampling=0),
    "progressive JPEG": encoded(PICTURE, "JPEG", quality=95, subsampling=0, progressive=True),
    "GIF": encoded(PICTURE, "GIF"),
}
if features.check("avif"):
    LOSSY["AVIF"] = encoded(PICTURE, "AVIF", quality=95)


def refusal(source: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        decode(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert ";" in message, "no remedy"
    return message


def bomb(width: int, height: int) -> bytes:
    data = bytearray(encoded(Image.new("1", (8, 8)), "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)
