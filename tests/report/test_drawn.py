"""Overlay and heat map: playable, of the right length, and what they show is in the right place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.report.heatmap import draw_heatmap, range_of, write_heatmap_movie, write_heatmap_picture
from crossiqa_edge.report.movie import Movie
from crossiqa_edge.report.overlay import write_overlay
from crossiqa_edge.video.frames import COMPLETE, SourceEnd
from crossiqa_edge.video.quality_map import QualityMap
from crossiqa_edge.video.report import Recorder, VideoReport
from crossiqa_edge.video.results import FrameScore

HEIGHT, WIDTH, COUNT = 63, 97, 20  # odd on purpose


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "odd.mp4"
    with path.open("wb") as stream, Movie(stream, 25) as movie:
        for place in range(COUNT):
            movie.write(np.roll(photo_like(3, HEIGHT, WIDTH), 3 * place, axis=1), place / 25)
    return path


def report(first: int = 0, stop: int = COUNT, stride: int = 1) -> VideoReport:
    recorder = Recorder()
    for place in range(first, stop, stride):
        score = None if place == 10 else 20.0 + 3 * place
        recorder.add(FrameScore(place, place / 25, score, flags=("black",) if place == 10 else ()))
    facts = {"height": HEIGHT + 1, "width": WIDTH + 1, "fps": 25.0}
    return recorder.report("odd.mp4", facts, model="m", backend="b", end=SourceEnd(COMPLETE, ""))


def shown(path: Path) -> tuple[list[float], list[Any]]:
    with av.open(str(path)) as container:
        pictures = list(container.decode(video=0))
        return [picture.time for picture in pictures], [p.to_ndarray(format="rgb24") for p in pictures]


def test_a_movie_keeps_pictures_times_and_makes_sides_even(clip: Path) -> None:
    times, pictures = shown(clip)
    assert times == pytest.approx([place / 25 for place in range(COUNT)])
    assert pictures[0].shape == (HEIGHT + 1, WIDTH + 1, 3)
    assert np.abs(pictures[0][:HEIGHT, :WIDTH].astype(int) - photo_like(3, HEIGHT, WIDTH)).mean() < 8


def test_an_uneven_rate_is_kept(tmp_path: Path) -> None:
    path, moments = tmp_path / "uneven.mp4", [0.0, 0.04, 0.2, 0.21, 1.0]
    with path.open("wb") as stream, Movie(stream, 25) as movie:
        for moment in moments:
            movie.write(photo_like(0, 64, 64), moment)
    assert shown(path)[0] == pytest.approx(moments, abs=1e-4)


def test_the_overlay_has_every_frame_with_label_curve_and_playhead(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "overlay.mp4"
    write_overlay(report(), str(clip), path)
    times, pictures = shown(path)
    assert times == pytest.approx([place / 25 for place in range(COUNT)])
    height, width = pictures[0].shape[:2]
    assert height >= 360 and (height, width) == (6 * (HEIGHT + 1), 6 * (WIDTH + 1))
    plain = shown(clip)[1]
    for place in (0, 5, 19):
        large = plain[place].repeat(6, 0).repeat(6, 1).astype(int)
        change = np.abs(pictures[place] - large).mean(-1)
        assert change[: height // 10, : width // 8].mean() > 15  # the label
        assert change[height // 3 : height // 2].mean() < 4  # the picture itself is left alone
        column = change[height - 40 :].mean(0).argmax()
        bright = pictures[place][height - 30 :].mean((0, 2))
        assert abs(int(bright.argmax()) - (width - 1) * place / 19) <= 3, column  # the playhead


def test_only_the_scored_part_is_copied(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "part.mp4"
    write_overlay(report(5, 14, stride=4), str(clip), path)  # frames 5, 9 and 13
    assert shown(path)[0] == pytest.approx([place / 25 for place in range(9)])


def a_map(left: float, right: float) -> QualityMap:
    scores = np.full((8, 13), left)
    scores[:, 7:] = right
    return QualityMap(scores, 32, 9)


def test_red_is_where_quality_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "heat.png"
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    write_heatmap_picture(grey, a_map(80.0, 20.0), path, "one frame")
    picture = np.asarray(Image.open(path)).astype(int)
    assert picture.shape[1] >= 480 and picture.shape[0] > 5 * HEIGHT
    good, bad = picture[50:250, 20:150], picture[50:250, -150:-20]
    assert np.abs(good - 128).mean() < 3
    assert (bad[..., 0] - bad[..., 1]).min() > 40


def test_small_differences_are_not_blown_up() -> None:
    assert range_of([a_map(50.0, 52.0)]) == (46.0, 56.0)
    assert range_of([a_map(50.0, 52.0), a_map(10.0, 90.0)]) == (10.0, 90.0)
    assert range_of([a_map(0.0, 0.0)]) == (0.0, 5.0)
    even = draw_heatmap(np.full((HEIGHT, WIDTH, 3), 128, np.uint8), a_map(50.0, 50.0), (45.0, 55.0), "")
    assert even[50, 50].tolist() != [128, 128, 128]  # in the middle of the scale: tinted, not red
    assert even[50, 50, 0] - even[50, 50, 1] < 60


def test_a_heat_map_movie_maps_twice_a_second_and_shows_every_frame(clip: Path, tmp_path: Path) -> None:
    asked: list[int] = []

    def map_of(frame: Any) -> QualityMap:
        asked.append(frame.shape[0])
        return a_map(70.0, 30.0)

    path = tmp_path / "heat.mp4"
    write_heatmap_movie(report(), str(clip), path, map_of)
    assert len(asked) == 2  # 0.8 s
    times, _ = shown(path)
    assert times == pytest.approx([place / 25 for place in range(COUNT)])


def test_a_movie_that_failed_leaves_nothing(clip: Path, tmp_path: Path) -> None:
    def broken(frame: Any) -> QualityMap:
        raise RuntimeError("no map")

    with pytest.raises(RuntimeError):
        write_heatmap_movie(report(), str(clip), tmp_path / "heat.mp4", broken)
    assert list(tmp_path.iterdir()) == []
