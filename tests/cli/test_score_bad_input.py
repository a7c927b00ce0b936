"""Bad pictures through the command line: one line each, the others still scored, never a traceback."""

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from crossiqa_edge.imaging.testpattern import photo_like

Crossiqa = Callable[..., Any]


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def bomb() -> bytes:
    """A PNG whose header claims 20000 x 20000 pixels of RGB, in a few dozen bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99))


PHOTO = Image.fromarray(photo_like(3, 96, 128))
JPEG = encoded(PHOTO, "JPEG")

BAD = {
    "truncated.jpg": JPEG[: len(JPEG) // 2],
    "truncated.png": encoded(PHOTO, "PNG")[:-900],
    "empty.png": b"",
    "text.jpg": b"Dear Sir or Madam, this is not a picture.\n" * 20,
    "one-pixel.png": encoded(Image.new("RGB", (1, 1)), "PNG"),
    "bomb.png": bomb(),
    "zeros.webp": bytes(4096),
}

EXIF_TURNED = Image.Exif()
EXIF_TURNED[0x0112] = 6
GOOD = {
    "photo.jpg": JPEG,
    "jpeg-named.png": JPEG,
    "deep.png": encoded(Image.fromarray(np.full((64, 64), 40_000, np.uint16)), "PNG"),
    "cmyk.jpg": encoded(PHOTO.convert("CMYK"), "JPEG"),
    "alpha.png": encoded(Image.new("RGBA", (64, 64), (255, 0, 0, 128)), "PNG"),
    "palette.gif": encoded(PHOTO.quantize(16), "GIF"),
    "grey.png": encoded(PHOTO.convert("L"), "PNG"),
    "turned.jpg": encoded(PHOTO, "JPEG", exif=EXIF_TURNED),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    where = tmp_path / "pictures"
    where.mkdir()
    for name, data in {**BAD, **GOOD}.items():
        (where / name).write_bytes(data)
    return where


@pytest.fixture
def score(crossiqa: Crossiqa, tiny_onnx: Path) -> Crossiqa:
    return lambda *arguments: crossiqa("score", "--model", tiny_onnx, "--backend", "onnxruntime", *arguments)


def test_good_ones_are_scored_and_each_bad_one_is_told_once(score: Crossiqa, folder: Path) -> None:
    done = score("--json", folder)
    document = {Path(one["path"]).name: one for one in json.loads(done.out)}
    assert done.code == 1
    assert {name for name, one in document.items() if "error" in one} == set(BAD)
    assert {name for name, one in document.items() if "score" in one} == set(GOOD)
    assert len(done.complaints) == len(BAD)
    for name in BAD:
        (line,) = (line for line in done.complaints if f"{name}:" in line)
        assert line == f"crossiqa: {folder / name}: {document[name]['error']}"


def test_what_is_shown_is_what_is_scored(score: Crossiqa, folder: Path) -> None:
    """The tiny model tells mean brightness, so each conversion shows in its score."""
    scores = {Path(one["path"]).name: one.get("score") for one in json.loads(score("--json", folder).out)}
    assert scores["jpeg-named.png"] == scores["photo.jpg"]
    assert scores["deep.png"] == pytest.approx(100 * 40_000 / 65_535, abs=0.2)
    assert scores["alpha.png"] == pytest.approx(100 * (255 + 127 + 127) / 3 / 255, abs=0.3)


def test_only_bad_pictures_is_nothing_done(score: Crossiqa, folder: Path) -> None:
    done = score("--json", *(folder / name for name in BAD))
    assert done.code == 2
    assert [set(one) for one in json.loads(done.out)] == [{"path", "error"}] * len(BAD)
    assert score(folder / "empty.png").out == ""


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_picture_on_standard_input(
    score: Crossiqa, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((folder / name).read_bytes())))
    done = score("-")
    assert (done.code, done.out, len(done.complaints)) == (2, "", 1)
    assert done.err.startswith("crossiqa: -: ")


@pytest.mark.parametrize("argument", ["no such file.png", "no*match.png", "@no list", "empty folder"])
def test_names_that_lead_nowhere(
    score: Crossiqa, folder: Path, monkeypatch: pytest.MonkeyPatch, argument: str
) -> None:
    (folder / "empty folder").mkdir()
    monkeypatch.chdir(folder)
    done = score("--json", argument, "photo.jpg")
    assert done.code == 1
    assert [("error" in one, one["path"]) for one in json.loads(done.out)] == [
        (True, argument),
        (False, "photo.jpg"),
    ]
    assert len(done.complaints) == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read every folder")
def test_an_unreadable_folder(score: Crossiqa, folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir()
    closed.chmod(0)
    try:
        done = score(closed, folder / "photo.jpg")
    finally:
        closed.chmod(0o755)
    assert done.code == 1
    assert "closed: cannot be read (Permission denied)" in done.err


def test_a_folder_that_the_system_refuses(
    score: Crossiqa, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above, where root would get in anyway."""
    closed = folder / "closed"
    closed.mkdir()
    real = os.scandir

    def scandir(path: Any = ".") -> Any:
        if Path(os.fsdecode(path)) == closed:
            raise PermissionError(13, "Permission denied", str(closed))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    done = score(closed, folder / "photo.jpg")
    assert done.code == 1
    assert "closed: cannot be read (Permission denied)" in done.err


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX only")
def test_names_cannot_speak_to_the_terminal(score: Crossiqa, folder: Path) -> None:
    name = folder / "red\x1b[31m\nline\udcff.jpg"
    name.write_bytes(JPEG)
    table, document = score(name), score("--json", name)
    assert table.code == document.code == 0
    assert "\x1b" not in table.out and len(table.out.splitlines()) == 2
    assert json.loads(document.out)[0]["path"].endswith("red\\x1b[31m\\nline\\udcff.jpg")


def test_the_report_shows_good_and_bad(score: Crossiqa, folder: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    assert score("--report", report, folder).code == 1
    page = report.read_text("utf-8")
    assert page.count("data:image/jpeg") == len(GOOD)
    assert "Could not be scored" in page and "bomb.png" in page


def test_a_full_disk_for_the_report_still_gives_the_table(
    score: Crossiqa, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    where = tmp_path / "reports"
    where.mkdir()
    done = score("--report", where / "report.html", folder / "photo.jpg")
    assert done.code == 2
    assert len(done.out.splitlines()) == 2
    assert len(done.complaints) == 1 and "No space left on device" in done.err
    assert list(where.iterdir()) == []
