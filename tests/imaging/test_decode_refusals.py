"""Every bad file becomes one line that names it and helps."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from picture_files import LOSSLESS, LOSSY, bomb, encoded, refusal
from PIL import Image

from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging import decode as decoding
from crossiqa_edge.imaging.decode import decode, name_of
from crossiqa_edge.imaging.testpattern import photo_like

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"


@pytest.mark.parametrize("kind", [*LOSSLESS, *LOSSY])
def test_truncated_files_are_refused_or_whole(kind: str) -> None:
    data = {**LOSSLESS, **LOSSY}[kind]
    whole = decode(data)

    def refused(end: int) -> bool:
        try:
            np.testing.assert_array_equal(decode(data[:end]), whole, err_msg=f"{kind} cut at {end}")
        except InputError:
            return True
        return False

    ends = {1, 2, 10, *np.linspace(20, len(data) - 1, 25).astype(int), *range(len(data) - 12, len(data))}
    assert sum(map(refused, ends)) > 20


def test_half_of_a_large_file_is_refused(tmp_path: Path) -> None:
    picture = Image.fromarray(photo_like(0, 900, 1200))  # longer than Pillow's read buffer
    for options in ({}, {"progressive": True}):
        data = encoded(picture, "JPEG", quality=90, **options)
        path = tmp_path / "half.jpg"
        path.write_bytes(data[: len(data) // 2])
        assert "half.jpg: damaged or truncated" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"hello", EPS, bytes(5000)])
def test_no_pictures(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    assert ("empty" if not content else "not a picture") in refusal(path)
    assert refusal(content).startswith("<bytes>: ")


def test_strips_that_a_tiff_file_promises_and_lacks() -> None:
    data = LOSSLESS["TIFF"]
    rows = data.index(struct.pack("<HHI", 257, 4, 1)) + 8  # the value of ImageLength
    assert data[rows] == 40
    assert "strips are missing" in refusal(data[:rows] + bytes([80]) + data[rows + 1 :])


def test_formats_that_run_programs_are_out_of_reach() -> None:
    Image.init()  # as an application would that uses them itself
    assert "EPS" in Image.OPEN
    assert not {"EPS", "PDF", "WMF", "FPX", "MIC", "GBR"} & set(decoding.FORMATS)
    assert "not a picture" in refusal(EPS)


def test_an_unknown_file_loads_no_further_plugins() -> None:
    code = f"""
import sys
from crossiqa_edge.imaging.decode import InputError, decode
for data in ({EPS!r}, {LOSSLESS["WEBP"]!r}, {LOSSLESS["JPEG2000"]!r}):
    try: decode(data)
    except InputError: pass
sys.exit("PIL.EpsImagePlugin" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("side", [11_000, 20_000, 60_000])
def test_bombs_are_refused_by_their_header(side: int) -> None:
    message = refusal(bomb(side, side))
    assert "the limit of 120 megapixels" in message
    assert "raise --max-pixels" in message


def test_the_limit_can_be_moved_both_ways() -> None:
    assert "limit" in refusal(LOSSLESS["PNG"], max_pixels=40 * 56 - 1)
    decode(LOSSLESS["PNG"], max_pixels=40 * 56)
    before = Image.MAX_IMAGE_PIXELS
    assert "truncated" in refusal(bomb(20_000, 20_000), max_pixels=10**9)  # let in; its pixels are absent
    assert before == Image.MAX_IMAGE_PIXELS


def test_files_too_large_to_be_pictures(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as stream:
        stream.truncate(decoding.MAX_FILE_BYTES + (1 << 20))
    assert "513 MiB" in refusal(path)


@pytest.mark.parametrize("name", ["missing.png", "file.png/inside", "x" * 300, "nul\0byte", "loop"])
def test_paths_that_cannot_be_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.png").write_bytes(LOSSLESS["PNG"])
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "cannot be read" in refusal(f"{tmp_path}/{name}")


def test_folders_and_pipes(tmp_path: Path) -> None:
    assert "folder" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "pipe" in refusal(tmp_path / "pipe")  # and did not wait for a writer
    assert "device" in refusal("/dev/zero")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter; pytest's own may not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_unreadable_file(open_folder: Path) -> None:
    path = open_folder / "secret.png"
    path.write_bytes(LOSSLESS["PNG"])
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read everything
    try:
        assert "Permission denied" in refusal(path)
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("name", ["line\nbreak", "escape\x1b[31m", os.fsdecode(b"latin\xe9"), ""])
def test_names_stay_on_one_printable_line(name: str) -> None:
    assert name_of(name)
    assert name_of(name).isprintable()
    refusal(name)
