"""Embedded ICC profiles are honoured where they are sound, and harmless where they are not."""

from __future__ import annotations

import struct
from itertools import product

import numpy as np
import pytest
from picture_files import FRAME, PICTURE, encoded
from PIL import Image, ImageCms

from crossiqa_edge.imaging.decode import decode

D50 = (0.9642, 1, 0.8249)


def fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def point(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + fixed(*values)


def profile_of(kind: bytes, space: bytes, pcs: bytes, name: bytes, **tags: bytes) -> bytes:
    """An ICC profile of version 2.4: header, table of tags, and the tags."""
    title = b"desc" + struct.pack(">II", 0, len(name) + 1) + name + bytes(80)
    every = {"desc": title, "cprt": b"text\0\0\0\0none\0\0\0\0", "wtpt": point(*D50), **tags}
    table, body, offset = struct.pack(">I", len(every)), b"", 132 + 12 * len(every)
    for tag, data in every.items():
        table += tag.encode() + struct.pack(">II", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I", offset + len(body)) + bytes(4) + b"\x02\x40\0\0" + kind + space + pcs
    header = header.ljust(36, b"\0") + b"acsp"
    header = header.ljust(68, b"\0") + fixed(*D50)
    return header.ljust(128, b"\0") + table + body


def wide_profile(space: bytes = b"RGB ", name: bytes = b"wide") -> bytes:
    """An ICC profile with the primaries (D50) and the gamma that Adobe RGB (1998) publishes."""
    gamma = b"curv" + struct.pack(">IIH", 0, 1, round(2.19921875 * 256)) + b"\0\0"
    primaries = {
        "rXYZ": point(0.60974, 0.31111, 0.01947),
        "gXYZ": point(0.20528, 0.62567, 0.06087),
        "bXYZ": point(0.14919, 0.06322, 0.74457),
    }
    return profile_of(
        b"mntr", space, b"XYZ ", name, **primaries, **dict.fromkeys(("rTRC", "gTRC", "bTRC"), gamma)
    )


def printer_profile() -> bytes:
    """An ICC profile of a made-up printer, whose cyan ink is the red of sRGB and whose black covers all."""
    paper, red, black = bytes((255, 128, 128)), bytes((138, 209, 198)), bytes((0, 128, 128))  # L*a*b*
    mixtures = product((0, 1), repeat=4)  # of all or nothing of each ink
    colours = b"".join(black if k else red if c else paper for c, m, y, k in mixtures)
    ramp = bytes(range(256))
    table = bytes((4, 3, 2, 0)) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + 4 * ramp + colours + 3 * ramp
    return profile_of(b"prtr", b"CMYK", b"Lab ", b"inks", A2B0=b"mft1\0\0\0\0" + table)


@pytest.mark.parametrize(
    ("stored", "shown"),
    [((219, 0, 0), (255, 0, 0)), ((144, 255, 60), (0, 255, 0)), ((128, 128, 128), (127, 127, 127))],
)
def test_icc_profile_is_converted_to_srgb(stored: tuple[int, ...], shown: tuple[int, ...]) -> None:
    # Published pairs: what sRGB's red and green are in Adobe RGB; its grey differs by the curves only.
    data = encoded(Image.new("RGB", (8, 8), stored), "PNG", icc_profile=wide_profile())
    np.testing.assert_allclose(decode(data)[4, 4], shown, atol=3)


def test_a_profile_holds_where_there_is_transparency_too() -> None:
    red = Image.new("RGBA", (8, 8), (219, 0, 0, 255))
    np.testing.assert_allclose(
        decode(encoded(red, "PNG", icc_profile=wide_profile()))[4, 4], (255, 0, 0), atol=3
    )


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
@pytest.mark.parametrize(
    ("inks", "shown"),
    [((255, 0, 0, 0), (255, 0, 0)), ((0, 0, 0, 0), (255, 255, 255)), ((0, 0, 0, 255), (0, 0, 0))],
)
def test_inks_have_the_colours_that_their_profile_gives_them(
    kind: str, inks: tuple[int, ...], shown: tuple[int, ...]
) -> None:
    data = encoded(Image.new("CMYK", (16, 16), inks), kind, icc_profile=printer_profile())
    np.testing.assert_allclose(decode(data)[4, 4], shown, atol=4)


@pytest.mark.parametrize(
    "profile",
    [
        b"not a profile",
        wide_profile()[:200],
        wide_profile(space=b"CMYK"),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        wide_profile(name=b"sRGB IEC61966-2.1"),
    ],
    ids=["garbage", "truncated", "of another space", "sRGB itself", "sRGB by name"],
)
def test_profiles_that_change_nothing(profile: bytes) -> None:
    np.testing.assert_array_equal(decode(encoded(PICTURE, "PNG", icc_profile=profile)), FRAME)
