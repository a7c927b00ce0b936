"""Small pictures that travel inside a page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from crossiqa_edge.imaging.decode import MAX_PIXELS, Source, decode

LONGEST_SIDE = 320  # pixels; the page shows it at about 260, sharp
_JPEG_QUALITY = 80  # about 12 KB a picture; artefacts of its own stay out of sight at this size


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A JPEG as ``data:`` address; its size, and that of the picture it was made from, in pixels."""

    address: str
    width: int
    height: int
    full_width: int
    full_height: int


def thumbnail(source: Source, *, max_pixels: int = MAX_PIXELS) -> Thumbnail:
    """Decode ``source`` once more and shrink it.

    A picture is read again rather than kept from scoring, so that a report on thousands of pictures
    holds one of them at a time.

    Args:
        max_pixels: as for ``decode``; give the limit under which it was scored.

    Raises:
        InputError: it cannot be read (any more).
    """
    from PIL import Image

    image = Image.fromarray(decode(source, max_pixels=max_pixels))
    full_width, full_height = image.size
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    address = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
    return Thumbnail(address, *image.size, full_width, full_height)
