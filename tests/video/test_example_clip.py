"""The shipped clip: sound, small, credited, and harmed where its maker says, as the shipped model sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.video.pipeline import stream
from crossiqa_edge.video.policy import Policy
from crossiqa_edge.video.report import Recorder, VideoReport

CLIP = Path(__file__).parents[2] / "examples" / "clip.mp4"
pytestmark = pytest.mark.skipif(
    not CLIP.exists(), reason="the examples are not part of this copy of the sources"
)


@pytest.fixture(scope="module")
def report() -> VideoReport:
    recorder = Recorder()
    with Scorer.load("nano") as scorer, stream(scorer, CLIP, Policy(stride=5)) as running:
        for event in running:
            recorder.add(event)
    assert running.end is not None
    return recorder.report("clip.mp4", running.facts.to_dict(), model="", backend="", end=running.end)


def mean(report: VideoReport, start: float, end: float) -> float:
    inside = report.scored & (report.pts >= start) & (report.pts < end)
    return float(report.score[inside].mean())


def test_it_is_small_whole_and_credited(report: VideoReport) -> None:
    assert CLIP.stat().st_size < 400_000
    assert "| `clip.mp4` |" in (CLIP.parent / "CREDITS.md").read_text(encoding="utf-8")
    assert report.whole and report.frames == 60 and report.source["frames"] == 300


def test_the_model_sees_where_it_is_harmed(report: VideoReport) -> None:
    assert mean(report, 5, 7) < mean(report, 4, 5) - 5
    assert mean(report, 5, 7) < mean(report, 7.2, 8) - 5
    assert mean(report, 9.5, 10.5) < mean(report, 8.4, 9.5) - 5
    assert mean(report, 9.5, 10.5) < mean(report, 10.6, 11) - 5


def test_shots_and_black_are_told(report: VideoReport) -> None:
    assert report.flag_counts() == {"black": 2}
    assert [round(shot.start, 1) for shot in report.shots] == [0.0, 4.0, 8.4]
