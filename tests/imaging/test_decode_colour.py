"""Embedded ICC profiles are honoured where they are sound, and harmless where they are not."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from picture_files import FRAME, PICTURE, encoded
from PIL import Image, ImageCms

from crossiqa_edge.imaging.decode import decode


def wide_profile(space: bytes = b"RGB ", name: bytes = b"wide") -> bytes:
    """An ICC profile with the primaries (D50) and the gamma that Adobe RGB (1998) publishes."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    def point(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + fixed(*values)

    gamma = b"curv" + struct.pack(">IIH", 0, 1, round(2.19921875 * 256)) + b"\0\0"
    title = b"desc" + struct.pack(">II", 0, len(name) + 1) + name + bytes(80)
    tags = {
        b"desc": title + bytes(-len(title) % 4),
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
        b"wtpt": point(0.9642, 1, 0.8249),
        b"rXYZ": point(0.60974, 0.31111, 0.01947),
        b"gXYZ": point(0.20528, 0.62567, 0.06087),
        b"bXYZ": point(0.14919, 0.06322, 0.74457),
        b"rTRC": gamma,
        b"gTRC": gamma,
        b"bTRC": gamma,
    }
    table, body, offset = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for tag, data in tags.items():
        table += tag + struct.pack(">II", offset + len(body), len(data))
        body += data
    header = struct.pack(">I", offset + len(body)) + bytes(4) + b"\x02\x40\0\0mntr" + space + b"XYZ "
    header = header.ljust(36, b"\0") + b"acsp"
    header = header.ljust(68, b"\0") + fixed(0.9642, 1, 0.8249)
    return header.ljust(128, b"\0") + table + body


@pytest.mark.parametrize(
    ("stored", "shown"),
    [((219, 0, 0), (255, 0, 0)), ((144, 255, 60), (0, 255, 0)), ((128, 128, 128), (127, 127, 127))],
)
def test_icc_profile_is_converted_to_srgb(stored: tuple[int, ...], shown: tuple[int, ...]) -> None:
    # Published pairs: what sRGB's red and green are in Adobe RGB; its grey differs by the curves only.
    data = encoded(Image.new("RGB", (8, 8), stored), "PNG", icc_profile=wide_profile())
    np.testing.assert_allclose(decode(data)[4, 4], shown, atol=3)


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
