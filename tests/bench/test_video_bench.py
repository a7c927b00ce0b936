from itertools import pairwise

import av
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from crossiqa_edge.bench import video, video_clips
from crossiqa_edge.bench.video_clips import encode_moving, photographs
from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.video.frames import COMPLETE
from crossiqa_edge.video.pipeline import StreamEnd
from crossiqa_edge.video.results import FrameScore


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed, (height, width) in enumerate(((70, 100), (90, 60))):
        Image.fromarray(photo_like(seed, height, width)).save(folder / f"{seed}.png")
    return folder


def test_clips_move_over_photographs_at_native_resolution(tmp_path, photos):
    pictures = photographs(photos)
    path = encode_moving(tmp_path / "clip.mp4", pictures, 96, 160, frames=10, fps=30, crf=10)
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 10 and frames[0].shape == (96, 160, 3)
    changes = [np.abs(one.astype(int) - other).mean() for one, other in pairwise(frames)]
    assert min(changes) > 0.5
    assert np.abs(np.diff(frames[5].astype(int), axis=1)).mean() > 4  # detail, not an enlargement


def test_half_a_clip_takes_no_name(tmp_path, photos, monkeypatch):
    """``--keep`` uses what is there: an interrupted run must leave nothing for the next one to measure."""

    def interrupted(*given):
        for seed in range(90):  # more than the encoder holds back
            yield Image.fromarray(photo_like(seed, 96, 160))
        raise KeyboardInterrupt

    monkeypatch.setattr(video_clips, "_views", interrupted)
    folder = tmp_path / "clips"
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        encode_moving(folder / "clip.mp4", photographs(photos), 96, 160, frames=99, fps=30, crf=10)
    assert list(folder.iterdir()) == []


def test_nothing_to_time_is_refused(photos):
    for option in ("--rounds", "--batch", "--frames", "--max-latency-ms"):
        assert CliRunner().invoke(video.main, ["--photos", str(photos), option, "0"]).exit_code == 2


def test_a_folder_without_photographs_is_refused(tmp_path):
    with pytest.raises(InputError):
        photographs(tmp_path)


def test_prints_all_tables(tmp_path, photos, tiny_onnx, monkeypatch):
    monkeypatch.setattr(video, "SIZES", {"720p": (64, 96), "1080p": (96, 128), "2160p": (128, 192)})
    monkeypatch.setattr(video, "METRICS", ())
    options = ["--photos", str(photos), "--frames", "12", "--rounds", "1", "--model", str(tiny_onnx)]
    options += ["--keep", str(tmp_path / "kept")]
    done = CliRunner().invoke(video.main, options, catch_exceptions=False)
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert "tiny-test" in lines[0] and "12 frames a clip" in lines[0]
    assert sum(line.startswith("| ---") for line in lines) == 4
    slow = next(line for line in lines if line.startswith("| +200 ms"))
    scored, dropped = slow.split("|")[6:8]
    assert int(scored.split(" of ")[0]) + int(dropped) == 12 and int(dropped) > 0
    (photos / "1.png").unlink()  # clips that were kept are of other photographs
    assert CliRunner().invoke(video.main, options, catch_exceptions=False).exit_code == 0
    assert len(list((tmp_path / "kept").iterdir())) == 2 * len(video.SIZES)


def run_of(*milliseconds, seconds=1.0):
    """A clip whose frames took so long each; None for one that was flagged after a second."""
    results = [
        FrameScore(
            place,
            place / 30,
            None if spent is None else 50.0,
            timings_ms={"decode": 1000.0 if spent is None else spent - 3.0, "sample": 1.0, "infer": 2.0},
        )
        for place, spent in enumerate(milliseconds)
    ]
    scored = sum(spent is not None for spent in milliseconds)
    end = StreamEnd(COMPLETE, "all frames read", len(results), scored, len(results) - scored, 0, 0)
    return video.Run(results, seconds, end)


def test_a_frame_without_a_score_has_no_latency():
    assert run_of(10.0, None, 20.0).latencies() == [10.0, 20.0]


def test_the_middle_round_counts(tmp_path, monkeypatch):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(bytes(10_000))
    rounds = iter([run_of(*[5.0] * 10, seconds=seconds) for seconds in (1.0, 0.25, 0.5)])
    monkeypatch.setattr(video, "run", lambda *_: next(rounds))
    monkeypatch.setattr(video, "decoded_frames_per_second", lambda path: 99.0)
    *_, line = video.throughput(None, {"720p": clip}, 8, 3)
    # 80 kbit in a third of a second
    assert line == "| 720p | 0.2 | 20.0 | 10.0 to 40.0 | 99.0 | 2.00 | 1.00 | 2.00 |"


def test_live_mode_counts_what_came_too_late(tiny_onnx, monkeypatch):
    monkeypatch.setattr(video, "run", lambda *_: run_of(100.0, 150.0, 151.0))
    with Scorer.load(tiny_onnx) as scorer:
        *_, line = video.live(scorer, None, [0.0], 150.0)
    assert line == "| as it is | 150.0 | 150.9 | 151.0 | 1 | 3 of 3 | 0 |"
