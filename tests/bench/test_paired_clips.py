import json

import numpy as np
import pytest
from click.testing import CliRunner

from crossiqa_edge.bench import paired_clips
from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.report.movie import Movie
from crossiqa_edge.runtime.scorer import Scorer


@pytest.mark.parametrize(("lower", "code"), [(10, 0), (9, 0), (8, 1)])
def test_counts_the_frames_that_are_lower(monkeypatch, tiny_onnx, lower, code):
    scores = {"sound": np.full(10, 60.0), "harmed": np.where(np.arange(10) < lower, 59.0, 60.0)}
    monkeypatch.setattr(paired_clips, "scores_of", lambda scorer, clip: scores[clip])
    done = CliRunner().invoke(
        paired_clips.main, ["sound", "harmed", "--model", str(tiny_onnx), "--least", "0.9"]
    )
    assert (json.loads(done.output)["share_lower"], done.exit_code) == (lower / 10, code)


def test_clips_of_different_length_are_no_pair(monkeypatch, tiny_onnx):
    monkeypatch.setattr(paired_clips, "scores_of", lambda scorer, clip: np.zeros(len(clip)))
    done = CliRunner().invoke(paired_clips.main, ["sound", "harmed", "--model", str(tiny_onnx)])
    assert done.exit_code == 2  # 1 would say that the harmed clip does not score lower
    assert "5 and 6 frames" in done.output


def test_every_frame_has_its_score(tmp_path, tiny_onnx):
    path = tmp_path / "clip.mp4"
    with path.open("wb") as stream, Movie(stream, 25) as movie:
        for place in range(5):
            movie.write(photo_like(place, 64, 64) * (place != 2), place / 25)
    with Scorer.load(tiny_onnx) as scorer:
        scores = paired_clips.scores_of(scorer, str(path))
    assert np.isnan(scores).tolist() == [False, False, True, False, False]  # the black one


def test_frames_without_a_score_do_not_count():
    nan = np.nan
    assert paired_clips.share_lower(np.array([5.0, nan, 5.0, 5.0]), np.array([4.0, 1.0, nan, 5.0])) == 0.5
    with pytest.raises(InputError, match="no frame"):
        paired_clips.share_lower(np.array([nan, 5.0]), np.array([4.0, nan]))
