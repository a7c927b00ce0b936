"""Thumbnails: small JPEGs inside an address, the right way up, from the same pixels as the score."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossiqa_edge.errors import InputError
from crossiqa_edge.report.thumbnail import LONGEST_SIDE, thumbnail


def opened(address: str) -> Image.Image:
    kind, data = address.split(",", 1)
    assert kind == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data, validate=True)))


def test_longest_side_is_bounded_and_the_shape_kept(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    Image.new("RGB", (1200, 300), "teal").save(path)
    small = thumbnail(str(path))
    assert (small.full_width, small.full_height) == (1200, 300)
    assert opened(small.address).size == (small.width, small.height) == (LONGEST_SIDE, LONGEST_SIDE // 4)


def test_small_pictures_are_not_enlarged() -> None:
    stream = io.BytesIO()
    Image.new("L", (40, 33)).save(stream, "PNG")
    small = thumbnail(stream.getvalue())
    assert (small.width, small.height) == (40, 33)


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    """Stored lying down with red on the left; orientation 6 turns it so that red comes to the top."""
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[:, :100, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.jpg"
    Image.fromarray(pixels).save(path, exif=exif)
    small = thumbnail(str(path))
    assert (small.full_width, small.full_height) == (100, 200)
    shown = np.asarray(opened(small.address).convert("RGB"))
    assert shown[20, 50, 0] > 200 and shown[180, 50, 0] < 50


def test_a_picture_that_has_gone_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.png"):
        thumbnail(str(tmp_path / "gone.png"))
