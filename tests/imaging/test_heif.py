"""HEIC, from phones: as a viewer shows it, known by its content, and a clear word where it is not read."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pillow_heif", reason="needs the heif extra")

import pillow_heif
from picture_files import FRAME, LOSSLESS, refusal

from crossiqa_edge.errors import FormatError, InputError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.piped import is_clip

_ISO = (b"\0\0\0\x1cftypavif\0\0\0\0mif1avif", b"\0\0\0\x10ftypheis", b"\0\0\0\x18ftypmp42\0\0\0\0isom")


def heic(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    pillow_heif.from_pillow(image).save(stream, quality=95, chroma=444, **options)
    return stream.getvalue()


DATA = heic(Image.fromarray(FRAME))


def test_the_picture_is_read_and_pillow_keeps_its_list() -> None:
    found = decode(DATA)
    assert found.shape == FRAME.shape
    assert np.abs(found.astype(int) - FRAME).mean() < 3
    assert "HEIF" not in Image.OPEN


def test_it_is_known_by_any_of_its_brands() -> None:
    assert DATA[8:12] in (b"heic", b"heix")
    np.testing.assert_array_equal(decode(DATA[:8] + b"mif1" + DATA[12:]), decode(DATA))


def test_it_stands_upright() -> None:
    turned = Image.fromarray(FRAME)
    exif = Image.Exif()
    exif[0x0112] = 6  # a camera held upright: to be turned by a quarter, clockwise
    found = decode(heic(turned, exif=exif.tobytes()))
    assert np.abs(found.astype(int) - np.rot90(FRAME, -1)).mean() < 3


def test_transparency_lies_on_white_paper() -> None:
    clear = Image.fromarray(FRAME).convert("RGBA")
    clear.putalpha(0)
    assert decode(heic(clear)).min() > 250


@pytest.mark.parametrize("end", [40, 300, len(DATA) // 2, len(DATA) - 1])
def test_a_cut_file_is_refused(end: int) -> None:
    refusal(DATA[:end])


def test_noise_after_the_header_is_refused_or_a_picture() -> None:
    draw = np.random.default_rng(0)
    for _ in range(40):
        data = bytearray(DATA)
        for place in draw.integers(16, len(data), 8):
            data[place] = draw.integers(256)
        try:
            assert decode(bytes(data)).ndim == 3
        except InputError as error:
            assert "; " in str(error)


def test_the_limit_on_pixels_holds() -> None:
    assert "limit" in refusal(DATA, max_pixels=1000)


def test_without_the_extra_a_word_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(FormatError, match=r"crossiqa-edge\[heif\]'; or export it as JPEG"):
        decode(DATA)
    assert decode(LOSSLESS["PNG"]).shape == FRAME.shape


def test_other_files_of_its_family_are_none() -> None:
    assert not is_clip(DATA)
    for head in _ISO:
        assert refusal(head + bytes(200))
