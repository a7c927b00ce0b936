"""A clip on standard input: ``crossiqa score -`` and ``crossiqa watch -`` read every frame of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from clip_files import write_clip

Process = Callable[..., "subprocess.Popen[str]"]

LEVELS = [204] * 40 + [51] * 40


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One clip in the containers that people pipe, by name."""
    folder = tmp_path_factory.mktemp("clips")
    whole = write_clip(folder / "whole.mp4", LEVELS)
    made = {name: folder / name for name in ("clip.ts", "clip.mkv", "index first.mp4")}
    for name, path in made.items():
        options = {"movflags": "faststart"} if name == "index first.mp4" else {}
        with av.open(str(whole)) as source, av.open(str(path), "w", options=options) as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    target.mux(packet)
    _encode(whole, made.setdefault("clip.y4m", folder / "clip.y4m"), "yuv4mpegpipe", "rawvideo", "yuv420p", 1)
    # Larger than what FFmpeg keeps of a pipe, so that it cannot go back in it.
    _encode(
        whole, made.setdefault("index last.mov", folder / "index last.mov"), "mov", "rawvideo", "rgb24", 2
    )
    assert made["index last.mov"].stat().st_size > 2 << 20
    return made


def _encode(source: Path, target: Path, form: str, codec: str, layout: str, times: int) -> None:
    """``source`` encoded anew, enlarged ``times`` each way."""
    with av.open(str(source)) as clip, av.open(str(target), "w", format=form) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 96 * times, 64 * times, layout
        for frame in clip.decode(video=0):
            container.mux(stream.encode(frame.reformat(96 * times, 64 * times, layout)))
        container.mux(stream.encode(None))


@pytest.fixture
def piped(process: Process, tiny_onnx: Path) -> Callable[..., Any]:
    """``piped(path, "score")``: what the verb makes of the file through a pipe: code, output, complaints."""

    def run(path: Path, verb: str, *options: str) -> tuple[int, str, str]:
        with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
            words = [verb, "--model", tiny_onnx, "--backend", "onnxruntime", *options, "-"]
            running = process(*words, stdin=cat.stdout)
            assert cat.stdout is not None
            cat.stdout.close()
            out, err = running.communicate(timeout=60)
        return running.returncode, out, err

    return run


@pytest.mark.parametrize("name", ["clip.ts", "clip.mkv", "clip.y4m", "index first.mp4"])
def test_every_frame_of_a_piped_clip_is_scored(
    piped: Callable[..., Any], clips: dict[str, Path], name: str
) -> None:
    code, out, err = piped(clips[name], "score", "--json")
    document = json.loads(out)
    assert (code, err, document["path"], document["end"]["status"]) == (0, "", "-", "complete")
    scores = [frame["score"] for frame in document["frames"]]
    assert len(scores) == 80
    assert scores[5] == pytest.approx(80, abs=3) and scores[70] == pytest.approx(20, abs=3)


def test_watching_a_pipe_leaves_no_frame_out_unless_asked_to(
    piped: Callable[..., Any], clips: dict[str, Path]
) -> None:
    code, out, _ = piped(clips["clip.ts"], "watch")
    end = json.loads(out.splitlines()[-1])
    assert (code, end["frames"], end["dropped"], end["path"]) == (0, 80, 0, "-")


def test_a_clip_with_its_index_at_its_end_is_refused_with_the_remedy(
    piped: Callable[..., Any], clips: dict[str, Path]
) -> None:
    code, out, err = piped(clips["index last.mov"], "score")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "its index first" in err


def test_the_same_as_a_file_is_read_from_its_end(
    process: Process, tiny_onnx: Path, clips: dict[str, Path]
) -> None:
    with clips["index last.mov"].open("rb") as file:
        running = process("score", "--json", "--model", tiny_onnx, "-", stdin=file)
        out, _ = running.communicate(timeout=60)
    assert (running.returncode, json.loads(out)["counts"]["scored"]) == (0, 80)


def test_what_is_drawn_on_a_clip_needs_a_file(
    piped: Callable[..., Any], clips: dict[str, Path], tmp_path: Path
) -> None:
    code, out, err = piped(clips["clip.ts"], "score", "--overlay", str(tmp_path / "out.mp4"))
    assert (code, out) == (2, "") and "save it to a file first" in err
