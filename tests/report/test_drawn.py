"""Overlay and heat map: playable, of the right length, and what they show is in the right place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from crossiqa_edge.errors import BackendError
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.report.heatmap import draw_heatmap, reach_of, write_heatmap_movie, write_heatmap_picture
from crossiqa_edge.report.movie import LONGEST_SIDE, Movie
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


def test_pictures_of_one_moment_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "twice.mp4"
    with path.open("wb") as stream, Movie(stream, 25) as movie:
        for moment in (0.0, 0.04, 0.04, 0.03, 0.08):
            movie.write(photo_like(0, 64, 64), moment)
    times, _ = shown(path)
    assert times == pytest.approx([0.0, 0.04, 0.04, 0.04, 0.08], abs=1e-4)


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


def overlay_of_grey(scores: list[float | None], folder: Path, **facts: int) -> list[Any]:
    """Frames of an overlay, green less red: 90 points are written and drawn in green, 10 in red."""
    grey, path = folder / "grey.mp4", folder / "overlay.mp4"
    recorder = Recorder()
    with grey.open("wb") as stream, Movie(stream, 25) as movie:
        for place, score in enumerate(scores):
            movie.write(np.full((64, 96, 3), 90, np.uint8), place / 25)
            recorder.add(FrameScore(place, place / 25, score, flags=() if score else ("black",)))
    told = {"height": 64, "width": 96, "fps": 25.0, **facts}
    found = recorder.report("grey.mp4", told, model="m", backend="b", end=SourceEnd(COMPLETE, ""))
    write_overlay(found, str(grey), path)
    return [picture[..., 1].astype(int) - picture[..., 0] for picture in shown(path)[1]]


def test_every_frame_of_the_overlay_has_its_own_word(tmp_path: Path) -> None:
    labels = [frame[:70, :250] for frame in overlay_of_grey([90.0, 10.0, 90.0, 90.0, 10.0], tmp_path)]
    assert [label.max() > 50 for label in labels] == [True, False, True, True, False]
    assert [label.min() < -50 for label in labels] == [False, True, False, False, True]


def test_no_line_crosses_what_was_flagged(tmp_path: Path) -> None:
    first, *_ = overlay_of_grey([90.0, 90.0, None, 90.0, 90.0], tmp_path)
    height, width = first.shape
    strip = first[height - height // 6 :].max(axis=0)
    assert strip[width // 8] > 40 and strip[width * 7 // 8] > 40
    assert strip[width // 2 - 10 : width // 2 + 10].max() < 20


def test_frames_of_another_size_than_the_first_are_fitted(tmp_path: Path) -> None:
    shapes = {frame.shape for frame in overlay_of_grey([90.0, 90.0], tmp_path, height=128, width=192)}
    assert shapes == {(3 * 128, 3 * 192)}


def test_only_the_scored_part_is_copied(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "part.mp4"
    write_overlay(report(5, 14, stride=4), str(clip), path)  # frames 5, 9 and 13
    assert shown(path)[0] == pytest.approx([place / 25 for place in range(9)])


def overlay_of_a_thin_clip(width: int, folder: Path) -> Path:
    """An overlay of a clip 34 pixels high, of two frames."""
    thin, path = folder / "thin.mp4", folder / "overlay.mp4"
    recorder = Recorder()
    with thin.open("wb") as stream, Movie(stream, 25) as movie:
        for place in range(2):
            movie.write(np.full((34, width, 3), 90 + place, np.uint8), place / 25)
            recorder.add(FrameScore(place, place / 25, 50.0))
    facts = {"height": 34, "width": width, "fps": 25.0}
    found = recorder.report("thin.mp4", facts, model="m", backend="b", end=SourceEnd(COMPLETE, ""))
    write_overlay(found, str(thin), path)
    return path


@pytest.mark.parametrize(("width", "times"), [(2000, 8), (9000, 1), (LONGEST_SIDE, 1)])
def test_no_overlay_is_enlarged_beyond_what_can_be_written(tmp_path: Path, width: int, times: int) -> None:
    times_shown, pictures = shown(overlay_of_a_thin_clip(width, tmp_path))
    assert len(times_shown) == 2 and pictures[0].shape == (34 * times, width * times, 3)


@pytest.mark.parametrize("shape", [(64, LONGEST_SIDE + 2, 3), (LONGEST_SIDE + 1, 64, 3)])
def test_pictures_too_large_for_the_encoder_are_told(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "large.mp4"
    with (
        pytest.raises(BackendError, match=rf"{LONGEST_SIDE + 2}.*no side may be beyond {LONGEST_SIDE}"),
        path.open("wb") as stream,
        Movie(stream, 25) as movie,
    ):
        movie.write(np.zeros(shape, np.uint8), 0.0)


@pytest.mark.parametrize("step", ["write", "leave"])
def test_other_refusals_of_the_encoder_are_told(tmp_path: Path, step: str) -> None:
    class Refusing:
        width, height = 64, 64

        def encode(self, frame: Any) -> list[Any]:
            if (frame is None) == (step == "leave"):
                raise av.error.ExternalError(1, "refused")
            return []

    path = tmp_path / "m.mp4"
    with (
        pytest.raises(BackendError, match=r"64 x 64 pixels \(refused\); use a smaller clip"),
        path.open("wb") as stream,
        Movie(stream, 25) as movie,
    ):
        movie._video = Refusing()
        movie.write(photo_like(0, 64, 64), 0.0)


def test_a_full_disk_is_no_refusal_of_the_encoder(tmp_path: Path) -> None:
    class Full:
        width, height = 64, 64

        def encode(self, frame: Any) -> None:
            raise av.error.OSError(28, "No space left on device")

    with (tmp_path / "m.mp4").open("wb") as stream, pytest.raises(OSError, match="No space left"):  # noqa: SIM117
        with Movie(stream, 25) as movie:
            movie._video = Full()
            movie.write(photo_like(0, 64, 64), 0.0)


def a_map(left: float, right: float, size: tuple[int, int] = (HEIGHT, WIDTH)) -> QualityMap:
    contributions = np.full((7, 7), left)
    contributions[:, 4:] = right
    return QualityMap(contributions, 50.0, 49.0, (0, 0, *size), 32)


def test_red_is_where_quality_is_lost_and_blue_where_it_is_won(tmp_path: Path) -> None:
    path = tmp_path / "heat.png"
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    write_heatmap_picture(grey, a_map(0.3, -1.0), path, "one frame")
    picture = np.asarray(Image.open(path)).astype(int)
    assert picture.shape[1] >= 512 and picture.shape[0] > 5 * HEIGHT
    good, bad = picture[50:250, 20:150], picture[50:250, -150:-20]
    assert (good[..., 2] - good[..., 0]).min() > 40
    assert (bad[..., 0] - bad[..., 2]).min() > 80
    even = draw_heatmap(grey, a_map(0.0, 0.0), 0.5, "")[: 5 * HEIGHT]
    assert (even == 128).all()  # nothing lost, nothing won: no colour; and no outlines of tiles that overlap


def test_cells_are_coloured_and_fragments_outlined_where_they_are() -> None:
    frame = np.full((700, 1400, 3), 128, np.uint8)
    found = a_map(0.0, 0.0, (700, 1400))
    found.contributions[2, 5] = -1.0
    drawn = draw_heatmap(frame, found, 1.0, "")[:700].astype(int)
    red = drawn[..., 0] - drawn[..., 2] > 50
    rows, columns = (np.flatnonzero(red.any(axis)) for axis in (1, 0))
    assert (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1) == found.cell(2, 5) == (200, 1000, 300, 1200)
    top, left, bottom, right = found.fragment(0, 0)
    changed = (drawn[:100, :200] != 128).any(-1)
    rows, columns = (np.flatnonzero(changed.any(axis)) for axis in (1, 0))
    assert (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1) == (top, left, bottom, right)
    assert not changed[top + 4 : bottom - 4, left + 4 : right - 4].any()  # an outline, not a filling


def test_small_contributions_are_not_blown_up() -> None:
    assert reach_of([a_map(0.1, -0.2)]) == 0.5
    assert reach_of([a_map(0.1, -0.2), a_map(0.7, -1.5)]) == 1.5
    assert reach_of([]) == 0.5  # a clip of which no frame was scored
    faint = draw_heatmap(np.full((HEIGHT, WIDTH, 3), 128, np.uint8), a_map(-0.05, -0.05), 0.5, "")
    assert 0 < int(faint[50, 50, 0]) - int(faint[50, 50, 2]) < 40


def test_a_heat_map_movie_maps_twice_a_second_and_shows_every_frame(clip: Path, tmp_path: Path) -> None:
    asked: list[bool] = []

    def map_of(frame: Any, letterboxed: bool) -> QualityMap:
        asked.append(letterboxed)
        return a_map(-1.0, -1.0, frame.shape[:2])

    path = tmp_path / "heat.mp4"
    write_heatmap_movie(report(), str(clip), path, map_of)
    assert asked == [False, False]  # 0.8 s
    times, pictures = shown(path)
    assert times == pytest.approx([place / 25 for place in range(COUNT)])
    red = [float((picture[:300, ..., 0].astype(int) - picture[:300, ..., 2]).mean()) for picture in pictures]
    assert abs(red.pop(10)) < 5 and min(red) > 20  # the tenth had no score, so it has no map


def test_a_letterboxed_frame_is_mapped_as_one(clip: Path, tmp_path: Path) -> None:
    asked: list[bool] = []

    def map_of(frame: Any, letterboxed: bool) -> QualityMap:
        asked.append(letterboxed)
        return a_map(1.0, 0.0, frame.shape[:2])

    recorder = Recorder()
    recorder.add(FrameScore(0, 0.0, 50.0, flags=("letterboxed",)))
    facts = {"height": HEIGHT + 1, "width": WIDTH + 1, "fps": 25.0}
    found = recorder.report("odd.mp4", facts, model="m", backend="b", end=SourceEnd(COMPLETE, ""))
    write_heatmap_movie(found, str(clip), tmp_path / "heat.mp4", map_of)
    assert asked == [True]


def test_a_movie_that_failed_leaves_nothing(clip: Path, tmp_path: Path) -> None:
    def broken(frame: Any, letterboxed: bool) -> QualityMap:
        raise RuntimeError("no map")

    with pytest.raises(RuntimeError):
        write_heatmap_movie(report(), str(clip), tmp_path / "heat.mp4", broken)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("height", "width", "times"), [(48, 64, 8), (2100, 34, 7), (20_000, 34, 1)])
def test_no_map_is_enlarged_beyond_what_a_movie_holds(height: int, width: int, times: int) -> None:
    drawn = draw_heatmap(np.zeros((height, width, 3), np.uint8), None, 1.0, "")
    assert drawn.shape[1] == times * width
    assert times == 1 or max(drawn.shape) <= 16_384
