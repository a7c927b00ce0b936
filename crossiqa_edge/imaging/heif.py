"""HEIC, in which phones store photographs: read by the package pillow-heif, the ``heif`` extra.

Its library is loaded when the first such file is met, and not registered with Pillow, whose list of formats
belongs to the whole process.
"""

from __future__ import annotations

from importlib import import_module
from typing import IO

from PIL import Image

from crossiqa_edge.errors import FormatError, MissingDependencyError

# Of pictures in HEVC: one, or one of a sequence, in the profiles of 8 and of more bits, single and layered.
_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
_MOST_BRANDS = 256  # bytes of them that are looked at


def opened(stream: IO[bytes]) -> Image.Image | None:
    """The header of the HEIC file that ``stream`` begins with; None where it is none, back at its start.

    Raises:
        FormatError: it is one, and the extra is absent.
    """
    head = stream.read(_MOST_BRANDS)
    stream.seek(0)
    if head[4:8] != b"ftyp" or _BRANDS.isdisjoint(_brands(head)):
        return None
    try:
        library = import_module("pillow_heif")
    except ImportError as error:
        missing = MissingDependencyError("HEIC", "heif")
        raise FormatError(f"{missing}; or export it as JPEG") from error
    image: Image.Image = library.HeifImageFile(stream)
    return image


def _brands(head: bytes) -> list[bytes]:
    """The four letters of each brand: the major one at 8, the compatible ones from 16 on."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[start : start + 4] for start in (8, *range(16, end, 4))]
