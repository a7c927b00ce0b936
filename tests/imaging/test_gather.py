"""All ways in which people name pictures, and one entry for whatever goes wrong on the way."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.gather import gather


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small tree of files, as the current folder; the names are what counts, not the contents."""
    names = ["10.png", "2.png", "B.JPG", "a.jpeg", "notes.txt", ".hidden.png", "noext"]
    names += ["sub/1.webp", "sub/deep/x.tiff", ".git/y.png", "[odd].png", "@at.png", "jp.2jp"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def labels(*arguments: str, stdin: bytes = b"") -> list[str]:
    return [entry.label for entry in gather(arguments, io.BytesIO(stdin))]


def trouble(*arguments: str, stdin: bytes = b"") -> str:
    (entry,) = gather(arguments, io.BytesIO(stdin))
    assert isinstance(entry.source, InputError)
    assert str(entry.source).startswith(f"{entry.label}: ")
    assert "; " in str(entry.source), "no remedy"
    return str(entry.source)


def test_files_are_taken_as_named_and_in_order() -> None:
    assert labels("noext", "2.png", "missing.png") == ["noext", "2.png", "missing.png"]
    assert [entry.source for entry in gather(["./2.png"])] == ["./2.png"]


def test_folder_in_natural_order_without_hidden_files_and_links() -> None:
    top = ["2.png", "10.png", "@at.png", "[odd].png", "a.jpeg", "B.JPG"]
    assert labels(".") == [f"./{name}" for name in [*top, "sub/1.webp", "sub/deep/x.tiff"]]


def test_subfolders_come_in_natural_order_too() -> None:
    for name in ("roll/10", "roll/9", "roll/B", "roll/a"):
        Path(name).mkdir(parents=True)
        Path(name, "1.png").touch()
    assert labels("roll") == [f"roll/{name}/1.png" for name in ("9", "10", "a", "B")]


def test_a_folder_has_the_pictures_of_phones() -> None:
    names = ["IMG_1.HEIC", "IMG_2.heif", "IMG_3.HIF"]
    for name in names:
        Path(name).touch()
    assert labels(".")[6:9] == [f"./{name}" for name in names]


def test_globs_that_the_shell_left_alone() -> None:
    assert labels("*.png") == ["2.png", "10.png", "@at.png", "[odd].png"]
    assert labels("**/*.tiff") == ["sub/deep/x.tiff"]
    assert labels("su?") == ["sub/1.webp", "sub/deep/x.tiff"]
    assert labels("[odd].png") == ["[odd].png"]  # a file of that very name comes first
    assert labels("/".join([str(Path.cwd()), "s*", "1.*"])) == [f"{Path.cwd()}/sub/1.webp"]
    assert labels("sub/../?.png") == ["sub/../2.png"]
    assert "matches no file" in trouble("*.bmp")
    assert "cannot be matched" in trouble("\0/*.png")


def test_what_a_glob_matches_within_a_folder_that_it_matches_counts_once() -> None:
    assert labels("sub/**") == labels("sub/**/*") == ["sub/1.webp", "sub/deep/x.tiff"]
    assert labels("**/*.webp") == labels("**/**/*.webp") == labels("**/s*/**/1.*") == ["sub/1.webp"]


def test_lists(photos: Path) -> None:
    text = "\ufeff# chosen\n2.png\r\n\n  sub \n*.jpeg\n2.png\n@other\n"
    (photos / "list.txt").write_text(text, encoding="utf-8")
    expected = ["2.png", "sub/1.webp", "sub/deep/x.tiff", "a.jpeg", "@other"]
    assert labels("@list.txt") == expected
    assert labels("@-", stdin=text.encode()) == expected
    assert labels("./@at.png") == ["./@at.png"]


@pytest.mark.parametrize("content", [b"", b"# nothing\n\n", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", None])
def test_bad_lists(photos: Path, content: bytes | None) -> None:
    if content is not None:
        (photos / "list").write_bytes(content)
    assert "list" in trouble("@list")


def test_a_list_in_a_list_is_told_and_not_read(photos: Path) -> None:
    (photos / "list").write_text("2.png\n@list\n10.png\n")
    first, inner, last = gather(["@list"])
    assert (first.source, last.source) == ("2.png", "10.png")
    assert isinstance(inner.source, InputError) and "a list inside the list list" in str(inner.source)


def test_standard_input() -> None:
    (entry,) = gather(["-", "-"], io.BytesIO(b"picture"))
    assert (entry.label, entry.source) == ("-", b"picture")


def test_a_clip_on_standard_input() -> None:
    (entry,) = gather(["-"], io.BytesIO(b"YUV4MPEG2 and more"))
    assert (entry.label, entry.clip) == ("-", True)
    assert not isinstance(entry.source, str | bytes | InputError)
    assert entry.source.read(100) == b"YUV4MPEG2 and more"


def test_of_a_picture_no_more_is_read_than_shows_that_it_is_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("crossiqa_edge.imaging.gather.MAX_FILE_BYTES", 1000)
    endless = io.BytesIO(bytes(5000))
    (entry,) = gather(["-"], endless)
    assert entry.source == bytes(1001) and endless.tell() == 1001


def test_waiting_at_a_terminal_is_an_error() -> None:
    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    (entry,) = gather(["-"], Terminal())
    assert "pipe a picture or a clip" in str(entry.source)


def test_same_argument_counts_once_and_two_ways_to_one_file_count_twice() -> None:
    assert labels("2.png", "2.png", "./2.png") == ["2.png", "./2.png"]


def test_trouble_with_one_argument_leaves_the_others() -> None:
    assert labels("empty", "@missing", "*.none", "2.png") == ["empty", "@missing", "*.none", "2.png"]
    assert "without pictures" in trouble("empty")


def test_labels_stay_on_one_line(photos: Path) -> None:
    (photos / "sub" / "line\nbreak.png").touch()
    assert "sub/line\\nbreak.png" in labels("sub")


@pytest.fixture
def locked() -> Iterator[Path]:
    """A folder with one picture and a subfolder that nobody but root may read."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "open.png").touch()
    (folder / "locked").mkdir(mode=0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(user)
    shutil.rmtree(folder)


def test_unreadable_folders_are_reported_and_the_rest_is_taken(locked: Path) -> None:
    first, second = gather([str(locked)])
    assert first.source == f"{locked}/open.png"
    assert isinstance(second.source, InputError)
    assert "locked: cannot be read (Permission denied)" in str(second.source)
    assert "Permission denied" in trouble(f"{locked}/locked")


@pytest.mark.parametrize("pattern", ["**/*.png", "*/*.png", "locked/*.png", "locked/sub/*.png"])
def test_a_folder_that_a_glob_may_not_enter_is_reported(locked: Path, pattern: str) -> None:
    *pictures, closed = gather([f"{locked}/{pattern}"])
    assert [entry.source for entry in pictures] == [f"{locked}/open.png"] * pattern.startswith("**")
    assert isinstance(closed.source, InputError)
    assert "cannot be read (Permission denied)" in str(closed.source)


def test_a_folder_that_a_glob_has_no_need_to_enter_is_not_reported(locked: Path) -> None:
    assert labels(f"{locked}/*.png") == labels(f"{locked}/o*") == [f"{locked}/open.png"]


def test_a_hundred_thousand_files_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"IMG_{number}.jpg" for number in range(100_000)]
    monkeypatch.setattr(os, "walk", lambda *_, **__: iter([(".", [], names[::-1])]))
    start = time.process_time()
    found = labels(".")
    assert found == [f"./{name}" for name in names]
    assert time.process_time() - start < 5


def test_links_that_run_in_circles_do_not_hang(photos: Path) -> None:
    (photos / "sub" / "again").symlink_to(photos)
    (photos / "sub" / "and-again").symlink_to(photos)
    assert labels("**/*.tiff") == ["sub/deep/x.tiff"]
    assert labels("linked/*.JPG") == ["linked/B.JPG"]


def test_hidden_files_are_matched_only_when_asked_for() -> None:
    assert labels(".*.png") == [".hidden.png"]
    assert labels("../" + Path.cwd().name + "/1?.png") == [f"../{Path.cwd().name}/10.png"]
    assert labels(".git/*.png") == labels(".g*/*.png") == [".git/y.png"]
    assert labels("**/*.png") == ["2.png", "10.png", "@at.png", "[odd].png"]


@pytest.mark.parametrize(
    ("argument", "clip"),
    [
        ("a.mp4", True), ("A.MKV", True), ("b.ts", True), ("a.png", False), ("noext", False), (".mp4", False),
        ("rtsp://user:pass@host/x?y", True), ("camera:0", True), ("testpattern:", True), ("-clip.mov", True),
    ],
)  # fmt: skip
def test_clips_are_told_from_pictures(argument: str, clip: bool) -> None:
    (entry,) = gather([argument], io.BytesIO())
    assert (entry.clip, entry.source) == (clip, argument)


def test_a_folder_has_its_clips_among_its_pictures_but_no_programs() -> None:
    for name in ("3.mp4", "program.ts", "module.mts", ".hidden.mp4"):
        Path(name).touch()
    found = [entry for entry in gather(["."]) if "/" not in entry.label[2:]]
    assert [entry.label for entry in found[:3]] == ["./2.png", "./3.mp4", "./10.png"]
    assert [entry.label for entry in found if entry.clip] == ["./3.mp4"]


@pytest.mark.parametrize("argument", ["-", "@-"])
def test_a_closed_standard_input_is_trouble_only_if_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch, argument: str
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    wanted, file = gather([argument, "2.png"])
    assert isinstance(wanted.source, InputError)
    assert str(wanted.source).startswith(f"{argument}: standard input is closed")
    assert file.source == "2.png"


def test_a_standard_input_that_cannot_be_read_is_trouble() -> None:
    with Path("written").open("wb") as stream:
        (entry,) = gather(["-"], stream)
    assert isinstance(entry.source, InputError)
    assert str(entry.source).startswith("-: standard input cannot be read")
