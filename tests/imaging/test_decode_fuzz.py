"""Whatever the bytes, ``decode`` gives a frame or the package's own error, quietly and soon."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from picture_files import LOSSLESS, LOSSY, PICTURE, encoded
from PIL import Image

from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.decode import decode

SAMPLES = {
    **LOSSLESS,
    **LOSSY,
    "palette PNG": encoded(PICTURE.quantize(16), "PNG", transparency=3),
    "interlaced GIF": encoded(PICTURE.quantize(16), "GIF", interlace=1),
    "JPEG in TIFF": encoded(PICTURE, "TIFF", compression="jpeg"),
    "fax": encoded(PICTURE.convert("1"), "TIFF", compression="group4"),
    "oriented": encoded(
        PICTURE, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
    ),
    "16 bits": encoded(Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32)), "PNG"),
    "CMYK": encoded(PICTURE.convert("CMYK"), "JPEG"),
}
MAGICS = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0",
    b"GIF89a",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"P6 ",
    b"P1\n",
    b"Pf\n",
)
MAGICS += (
    b"RIFF\0\1\0\0WEBPVP8 ",
    b"\0\0\0\x0cjP  \r\n\x87\n",
    b"\xff\x4f\xff\x51",
    b"\0\0\0\x1cftypavif",
    b"",
)
ODD = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)  # counts and lengths like to break at these


def decodes_or_refuses(data: bytes) -> bool:
    """True if a frame came out; anything but a frame or a one-line InputError fails."""
    start = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            frame = decode(data, max_pixels=4_000_000)
        except InputError as error:
            assert "\n" not in str(error)
            assert len(str(error)) < 300
            return False
    assert time.monotonic() - start < 10
    assert frame.dtype == np.uint8
    assert frame.ndim == 3
    assert frame.shape[2] == 3
    return True


@pytest.mark.parametrize("kind", SAMPLES)
def test_damaged_files(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    """50 seeded injuries a kind: a few bytes changed, most of them in the header, and sometimes a cut."""
    generator = np.random.default_rng(len(kind))
    sample = SAMPLES[kind]
    assert decodes_or_refuses(sample)
    outcomes = []
    for _ in range(50):
        data = bytearray(sample)
        reach = min(len(data), 200) if generator.random() < 0.7 else len(data)
        for place in generator.integers(0, reach, generator.integers(1, 6)):
            data[place] = generator.choice(ODD) if generator.random() < 0.5 else generator.integers(256)
        cut = generator.integers(len(data)) if generator.random() < 0.3 else len(data)
        outcomes.append(decodes_or_refuses(bytes(data[:cut])))
    assert not all(outcomes), "the injuries reach no decoder"
    assert capfd.readouterr() == ("", "")


@settings(max_examples=250, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(MAGICS), st.binary(max_size=600))
def test_random_bytes_behind_a_magic_number(magic: bytes, tail: bytes) -> None:
    decodes_or_refuses(magic + tail)


@settings(max_examples=150, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_spliced_files(data: st.DataObject) -> None:
    """The beginning of one format and the end of another, or of the same."""
    first, second = (data.draw(st.sampled_from(sorted(SAMPLES))) for _ in range(2))
    cut = data.draw(st.integers(8, len(SAMPLES[first])))
    back = data.draw(st.integers(0, len(SAMPLES[second])))
    decodes_or_refuses(SAMPLES[first][:cut] + SAMPLES[second][back:])
