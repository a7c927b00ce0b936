"""``crossiqa score`` and the files it writes: none takes the place of what is read, or of another output."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clip_files import write_clip
from PIL import Image

from crossiqa_edge.runtime.scorer import Scorer

Crossiqa = Callable[..., Any]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a picture and two clips in folders of their own."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 64), (51, 51, 51)).save("a.png")
    Path("clips").mkdir()
    write_clip(Path("clips/a.mp4"), [204] * 4)
    Path("list.txt").write_text("a.png\n")
    Path("link.png").symlink_to("a.png")
    return tmp_path


@pytest.fixture
def score(crossiqa: Crossiqa, tiny_onnx: Path) -> Crossiqa:
    return lambda *arguments: crossiqa("score", "--model", tiny_onnx, "--backend", "onnxruntime", *arguments)


@pytest.mark.parametrize(
    "words",
    [
        ("a.png", "--report", "a.png"),
        ("a.png", "--heatmap", "./a.png"),
        ("a.png", "--heatmap", "link.png"),
        ("link.png", "--report", "a.png"),
        (".", "--report", "clips/a.mp4"),
        ("@list.txt", "--report", "list.txt"),
        ("clips/a.mp4", "--overlay", "clips/../clips/a.mp4"),
        ("clips/a.mp4", "--heatmap", "clips/a.mp4"),
        ("a.png", "--report", "new.png", "--heatmap", "new.png"),
        ("clips/a.mp4", "--overlay", "new.mp4", "--heatmap", "clips/../new.mp4"),
    ],
    ids=" ".join,
)
def test_no_output_is_written_over_an_input_or_another_output(
    score: Crossiqa, here: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(Scorer, "load", lambda *_, **__: pytest.fail("the work has begun"))
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    done = score(*words)
    assert (done.code, done.out, len(done.complaints)) == (2, "", 1)
    assert "written" in done.err
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


def test_the_model_is_not_written_over(crossiqa: Crossiqa, tiny_onnx: Path) -> None:
    model = Path("m.onnx")
    model.write_bytes(tiny_onnx.read_bytes())
    done = crossiqa("score", "--model", model, "a.png", "--report", model)
    assert (done.code, len(done.complaints)) == (2, 1)
    assert model.read_bytes() == tiny_onnx.read_bytes()


@pytest.mark.skipif(not Path("/dev/stdin").exists(), reason="needs a name for standard input")
def test_the_configuration_is_not_written_over(score: Crossiqa) -> None:
    Path("c.json").write_text('{"batch": 2}')
    done = score("--config", "c.json", "a.png", "--report", "c.json")
    assert (done.code, done.out) == (2, "") and "c.json: is read" in done.err
    assert Path("c.json").read_text() == '{"batch": 2}'


def test_the_file_on_standard_input_is_not_written_over(process: Crossiqa, tiny_onnx: Path) -> None:
    before = Path("a.png").read_bytes()
    with Path("a.png").open("rb") as stream:
        running = process("score", "--model", tiny_onnx, "-", "--report", "a.png", stdin=stream)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 2 and "a.png: is read" in errors
    assert Path("a.png").read_bytes() == before


def test_an_older_output_and_a_device_may_be_written_over(score: Crossiqa) -> None:
    Path("r.html").write_text("an older report")
    assert score("a.png", "--report", "r.html").code == 0
    assert "<h1>" in Path("r.html").read_text("utf-8")
    assert score("a.png", os.devnull, "--report", os.devnull).code == 1  # the device is no picture


@pytest.mark.parametrize("name", ["o.png", "o.webm", "o", "o.mkv"])
def test_an_overlay_is_written_as_mp4_alone(score: Crossiqa, name: str) -> None:
    done = score("clips/a.mp4", "--overlay", name)
    assert (done.code, done.out, len(done.complaints)) == (2, "", 1)
    assert ".mp4" in done.err and not Path(name).exists()


def test_what_is_drawn_may_be_named_in_capitals(score: Crossiqa) -> None:
    assert score("a.png", "--heatmap", "H.PNG").code == 0
    assert Path("H.PNG").read_bytes().startswith(b"\x89PNG")
    assert score("clips/a.mp4", "--overlay", "O.MP4").code == 0
    assert Path("O.MP4").read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize("given", ["clips", "clips/*.mp4", "@clips.txt"])
def test_what_may_hold_several_clips_gives_a_list_also_of_one(score: Crossiqa, given: str) -> None:
    Path("clips.txt").write_text("clips/a.mp4\n")
    (one,) = json.loads(score("--json", given).out)
    assert one["path"] == "clips/a.mp4" and len(one["frames"]) == 4


@pytest.mark.parametrize("given", [("clips/a.mp4",), ("clips/a.mp4", "clips/a.mp4")])
def test_a_clip_that_is_named_is_an_object(score: Crossiqa, given: tuple[str, ...]) -> None:
    assert json.loads(score("--json", *given).out)["path"] == "clips/a.mp4"


def test_a_clip_whose_name_looks_like_a_glob_is_an_object(score: Crossiqa) -> None:
    write_clip(Path("[a].mp4"), [204] * 4)
    assert json.loads(score("--json", "[a].mp4").out)["path"] == "[a].mp4"


def test_names_that_the_terminal_cannot_write_are_spelt_out(process: Crossiqa, tiny_onnx: Path) -> None:
    Path("a.png").rename("café.png")
    narrow = {**os.environ, "PYTHONIOENCODING": "ascii", "OMP_NUM_THREADS": "1"}
    words = ("score", "--model", tiny_onnx, "--backend", "onnxruntime", "café.png")
    out, errors = process(*words, env=narrow).communicate(timeout=60)
    assert errors == ""
    assert r"caf\xe9.png" in out
