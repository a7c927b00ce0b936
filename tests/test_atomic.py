"""A file is whole or absent: after errors, Ctrl-C, a full disk, and through links and devices."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from crossiqa_edge.atomic import atomic_write, write_text
from crossiqa_edge.errors import OutputError


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_contents_replace_the_old_ones(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    write_text(path, "old")
    with atomic_write(path) as stream:
        stream.write(b"new")
        assert path.read_text() == "old", "visible before it was whole"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["out.json"]


def test_of_two_that_write_at_once_both_are_whole_and_the_last_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    with atomic_write(path) as first, atomic_write(path) as second:
        first.write(b"first" * 1000)
        second.write(b"second")
    assert path.read_text() == "first" * 1000  # whose block ended last
    assert names(tmp_path) == ["out.json"]


def test_text_is_utf8_with_its_own_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "x", "äß€\n\r\n")
    assert (tmp_path / "x").read_bytes() == "äß€\n\r\n".encode()


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), ValueError("x"), SystemExit(1), GeneratorExit()])
def test_failures_leave_the_old_file_and_nothing_else(tmp_path: Path, failure: BaseException) -> None:
    path = tmp_path / "out.json"
    path.write_text("old")

    with pytest.raises(type(failure)), atomic_write(path) as stream:
        stream.write(b"half")
        raise failure
    assert path.read_text() == "old"
    assert names(tmp_path) == ["out.json"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), full)
    with pytest.raises(OutputError, match=r"out\.json: not written \(No space left on device\)"):
        write_text(tmp_path / "out.json", "x")
    assert names(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_device_that_is_full() -> None:
    with pytest.raises(OutputError, match="No space left"):
        write_text("/dev/full", "x")


def test_devices_are_written_to_and_not_replaced() -> None:
    write_text(os.devnull, "x")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_a_link_still_points_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@pytest.mark.parametrize("target", [".", "missing/out.json", "file/out.json"])
def test_places_that_cannot_be_written(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write here"):
        write_text(tmp_path / target, "x")


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_permissions_are_those_of_any_new_file(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "out", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o666 & ~mask


def test_long_names(tmp_path: Path) -> None:
    write_text(tmp_path / ("n" * 250), "x")
    assert names(tmp_path) == ["n" * 250]
