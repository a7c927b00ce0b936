"""Every kind of picture comes out as a viewer shows it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_files import FRAME, GREY, LOSSLESS, LOSSY, PICTURE, encoded, refusal
from PIL import Image

from crossiqa_edge.imaging.decode import decode


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_come_back_bit_by_bit(kind: str) -> None:
    frame = decode(LOSSLESS[kind])
    assert frame.dtype == np.uint8
    assert frame.flags.c_contiguous
    assert frame.flags.writeable
    np.testing.assert_array_equal(frame, FRAME)


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_formats_come_back_nearly(kind: str) -> None:
    assert np.abs(decode(LOSSY[kind]).astype(int) - FRAME).mean() < 8


def test_content_counts_and_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "really-a-png.jpg"
    path.write_bytes(LOSSLESS["PNG"])
    link = tmp_path / "link"
    link.symlink_to(path)
    for source in (path, str(path), link, path.read_bytes(), PICTURE, FRAME):
        np.testing.assert_array_equal(decode(source), FRAME)


def test_one_pixel_is_a_picture() -> None:
    assert decode(encoded(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG")).tolist() == [[[1, 2, 3]]]


SHOWN: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda s: s,
    2: lambda s: s[:, ::-1],
    3: lambda s: s[::-1, ::-1],
    4: lambda s: s[::-1],
    5: lambda s: s.swapaxes(0, 1),
    6: lambda s: np.rot90(s, -1),
    7: lambda s: s[::-1, ::-1].swapaxes(0, 1),
    8: lambda s: np.rot90(s),
}


@pytest.mark.parametrize("orientation", SHOWN)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied_once(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(PICTURE, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    np.testing.assert_array_equal(decode(data), SHOWN[orientation](FRAME))
    with Image.open(io.BytesIO(data)) as opened:
        np.testing.assert_array_equal(decode(opened), SHOWN[orientation](FRAME))


def test_broken_exif_is_no_reason_to_refuse() -> None:
    data = encoded(PICTURE, "PNG", exif=b"Exif\0\0broken")
    np.testing.assert_array_equal(decode(data), FRAME)


def test_transparency_lies_on_white() -> None:
    alpha = np.broadcast_to(np.linspace(0, 255, FRAME.shape[1]).astype(np.uint8), GREY.shape)
    rgba = np.dstack([FRAME, alpha])
    share = alpha[..., None] / 255
    expected = FRAME * share + 255 * (1 - share)
    for source in (encoded(Image.fromarray(rgba), "PNG"), rgba, Image.fromarray(rgba)):
        np.testing.assert_allclose(decode(source), expected, atol=1)
    grey = encoded(Image.fromarray(np.dstack([GREY, alpha]), "LA"), "PNG")
    np.testing.assert_allclose(
        decode(grey)[..., 2], (GREY * share[..., 0] + 255 * (1 - share[..., 0])), atol=1
    )


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_transparent_palette_entry_is_white(kind: str) -> None:
    image = Image.new("P", (4, 2), 1)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((0, 0), 0)
    frame = decode(encoded(image, kind, transparency=0))
    assert frame[0, 0].tolist() == [255, 255, 255]
    assert frame[1, 3].tolist() == [200, 100, 50]


def test_transparent_colour_key_of_a_png_is_white() -> None:
    image = Image.new("RGB", (2, 1), (9, 9, 9))
    image.putpixel((1, 0), (200, 0, 0))
    assert decode(encoded(image, "PNG", transparency=(9, 9, 9))).tolist() == [[[255] * 3, [200, 0, 0]]]


def test_transparent_grey_of_16_bits_is_white() -> None:
    """Exactly that grey, not those that become the same with 8 bits."""
    data = png_of_16_bits(0, [[1000], [60000], [1001]], key=[1000])
    assert decode(data)[0, :, 0].tolist() == [255, 233, 4]


def test_transparent_colour_of_16_bits_is_white() -> None:
    data = png_of_16_bits(2, [[0x1234, 0x5678, 0x9ABC], [300, 400, 500]], key=[0x1234, 0x5678, 0x9ABC])
    with Image.open(io.BytesIO(data)) as opened:
        for _ in range(2):  # and the picture that was handed over stays what it was
            assert decode(opened).tolist() == [[[255, 255, 255], [1, 1, 1]]]
        assert opened.info["transparency"] == (0x1234, 0x5678, 0x9ABC)


def png_of_16_bits(colour: int, row: list[list[int]], key: list[int]) -> bytes:
    """One row of pixels, and which of them PNG's tRNS makes transparent; Pillow cannot write it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", len(row), 1, 16, colour, 0, 0, 0)
    pixels = zlib.compress(b"\0" + np.array(row, ">u2").tobytes())
    parts = ((b"IHDR", header), (b"tRNS", np.array(key, ">u2").tobytes()), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in parts)


def test_grey_palette_and_one_bit_become_rgb() -> None:
    grey = decode(encoded(PICTURE.convert("L"), "PNG"))
    np.testing.assert_array_equal(grey, np.asarray(PICTURE.convert("L"))[..., None].repeat(3, 2))
    palette = PICTURE.quantize(64)
    np.testing.assert_array_equal(decode(encoded(palette, "PNG")), np.asarray(palette.convert("RGB")))
    one_bit = decode(encoded(PICTURE.convert("1"), "TIFF", compression="group4"))
    assert set(np.unique(one_bit)) == {0, 255}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(kind: str) -> None:
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = np.rint(ramp / 257)
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(ramp), kind))[..., 0], expected)
    np.testing.assert_array_equal(decode(ramp)[..., 1], expected)


def test_sixteen_bit_colour_is_within_one_level() -> None:
    wide = np.random.default_rng(0).integers(0, 65536, (32, 48, 3), np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in wide)  # Pillow cannot write this kind

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", 48, 32, 16, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    np.testing.assert_allclose(decode(b"\x89PNG\r\n\x1a\n" + chunks), wide / 257, atol=1)


def test_cmyk_is_printed_on_screen_also_as_adobe_inverts_it() -> None:
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # full magenta and yellow ink: red
    jpeg = encoded(cmyk, "JPEG", quality=100)  # Pillow writes CMYK inverted, with the Adobe marker
    assert b"Adobe" in jpeg
    for data in (jpeg, encoded(cmyk, "TIFF")):
        red, green, blue = decode(data)[8, 8]
        assert red > 250
        assert max(green, blue) < 5


def test_first_frame_of_an_animation() -> None:
    others = [Image.new("RGB", PICTURE.size, "red"), Image.new("RGB", PICTURE.size, "blue")]
    for kind in ("PNG", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(PICTURE, kind, save_all=True, append_images=others, **options)
        np.testing.assert_array_equal(decode(data), FRAME)
    gif = encoded(others[0], "GIF", save_all=True, append_images=[others[1]])
    assert decode(gif)[0, 0].tolist() == [255, 0, 0]


def test_arrays() -> None:
    assert decode(FRAME) is FRAME or np.shares_memory(decode(FRAME), FRAME)
    for grey in (GREY, GREY[..., None]):
        np.testing.assert_array_equal(decode(grey), GREY[..., None].repeat(3, 2))
    assert decode(FRAME[::2, ::-1]).flags.c_contiguous
    np.testing.assert_array_equal(decode(FRAME.astype(np.uint16) * 257), FRAME)


@pytest.mark.parametrize(
    ("array", "hint"),
    [
        (FRAME / 255, "0..255"),
        (FRAME.astype(np.int64), "0..255"),
        (GREY > 100, "0..255"),
        (FRAME.transpose(2, 0, 1), "transpose(1, 2, 0)"),
        (FRAME[None], "(H, W, 3)"),
        (FRAME[:0], "(H, W, 3)"),
        (FRAME[..., :2], "(H, W, 3)"),
        (np.array("text"), "uint8"),
    ],
)
def test_arrays_that_are_no_picture(array: np.ndarray, hint: str) -> None:
    assert hint in refusal(array)


def test_an_image_is_left_as_it_was() -> None:
    image = Image.fromarray(np.dstack([FRAME, GREY]))
    image.getexif()[0x0112] = 6
    before = image.tobytes()
    assert decode(image).shape == (56, 40, 3)
    assert (image.mode, image.tobytes(), image.getexif()[0x0112]) == ("RGBA", before, 6)


@pytest.mark.parametrize("source", [3, None, object(), ["a.png"], io.BytesIO(b"x")])
def test_other_types_are_refused_with_the_remedy(source: object) -> None:
    assert "give a path" in refusal(source)


@pytest.mark.parametrize(("mode", "colour"), [("F", 1.0), ("LAB", (1, 2, 3)), ("I", 100_000), ("I", -1)])
def test_pixels_without_an_agreed_range(mode: str, colour: Any) -> None:
    assert "save it" in refusal(Image.new(mode, (40, 40), colour))


def _grey_tiff(depth: int, sign: int, pixels: bytes) -> bytes:
    """An uncompressed grey TIFF of 40 x 40 pixels; ``sign`` is 1 for none, 2 for signed integers."""
    tags = [(256, 4, 40), (257, 4, 40), (258, 3, depth), (259, 3, 1), (262, 3, 1), (273, 4, 134)]
    tags += [(277, 3, 1), (278, 4, 40), (279, 4, len(pixels)), (339, 3, sign)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0" * 4 + pixels


@pytest.mark.parametrize(("depth", "sign"), [(12, 1), (16, 2), (32, 1), (32, 2)])
def test_grey_tiffs_without_an_agreed_white(depth: int, sign: int) -> None:
    """They were scored as if 65535 were white, so most as black."""
    data = _grey_tiff(depth, sign, b"\x10" * (1600 * depth // 8))
    assert f"{depth} bits" in refusal(data)


def test_a_grey_tiff_of_16_bits_has_white_at_its_end() -> None:
    frame = decode(_grey_tiff(16, 1, b"\xff\xff" * 800 + b"\0\0" * 800))
    assert (frame[:20] == 255).all() and (frame[20:] == 0).all()
