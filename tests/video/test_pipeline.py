import os
import signal
import threading
from dataclasses import replace
from itertools import pairwise
from time import perf_counter, sleep

import numpy as np
import pytest
from video_clips import BrightnessBackend, encode, moving, scorer_with

from crossiqa_edge.errors import ConfigError, InputError
from crossiqa_edge.imaging.sampling import fragments, sample
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.video.address import TESTPATTERN, Address
from crossiqa_edge.video.frames import COMPLETE, SourceEnd, VideoFrame
from crossiqa_edge.video.pattern import PatternSource
from crossiqa_edge.video.pipeline import stream
from crossiqa_edge.video.policy import Policy
from crossiqa_edge.video.results import FrameScore, GapEvent
from crossiqa_edge.video.source import open_source


class ListSource:
    """Frames and gaps from a list, at 25 frames a second."""

    def __init__(self, items, *, live=False, height=64, width=96):
        self.items = items
        self.closed = False
        self.end = None
        facts = PatternSource(Address(TESTPATTERN, "@25", "list")).facts
        self.facts = replace(facts, live=live, height=height, width=width)

    def __iter__(self):
        for item in self.items:
            if self.closed:
                return
            yield item
        self.end = SourceEnd(COMPLETE, "all frames read")

    def close(self):
        self.closed = True


def pictures(count, height=64, width=96):
    picture = photo_like(3, height + count, width)
    return [VideoFrame(index, index / 25, picture[index : index + height]) for index in range(count)]


class SlowBackend(BrightnessBackend):
    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def infer(self, views):
        sleep(self.seconds)
        return super().infer(views)


def test_every_frame_gets_its_own_score_in_order(tmp_path):
    path = encode(tmp_path / "clip.mkv", moving(21), codec="ffv1")
    backend = BrightnessBackend()
    running = stream(scorer_with(backend), path, Policy(batch=8))
    results = list(running)
    views = [fragments(frame.rgb()) for frame in open_source(path)]
    assert [result.index for result in results] == list(range(21))
    np.testing.assert_allclose(
        [result.score for result in results], [v.mean() / 2.55 for v in views], rtol=1e-5
    )
    assert backend.batches == [8, 8, 5]
    assert all(set(result.timings_ms) == {"decode", "sample", "wait", "infer"} for result in results)
    assert all(min(result.timings_ms.values()) >= 0 for result in results)
    assert results[0].interval == (results[0].score - 5, results[0].score + 5)
    assert (running.end.status, running.end.read, running.end.scored) == ("complete", 21, 21)


@pytest.mark.parametrize("sampling", ["fragments", "crops"])
def test_several_views_are_sampled_and_pooled(tmp_path, sampling):
    path = encode(tmp_path / "clip.mkv", moving(5, 300, 400), codec="ffv1")
    backend = BrightnessBackend()
    results = list(stream(scorer_with(backend, sampling=sampling, views=3), path, Policy(batch=2)))
    assert backend.batches == [6, 6, 3]
    for result, frame in zip(results, open_source(path), strict=True):
        views = sample(frame.rgb(), sampling, views=3)
        np.testing.assert_allclose(result.raw, [view.mean() / 2.55 for view in views], rtol=1e-5)
        assert result.score == pytest.approx(np.mean(result.raw))
        assert len(set(result.raw)) > 1


def test_gaps_keep_their_place():
    frames = pictures(6)
    gap = GapEvent(2, 0.12, 1.0, "away")
    events = list(stream(scorer_with(size=56), ListSource([*frames[:3], gap, *frames[3:]])))
    assert [type(event) for event in events] == [FrameScore] * 3 + [GapEvent] + [FrameScore] * 3
    assert events[3] is gap


@pytest.mark.parametrize(
    ("policy", "indices"),
    [
        (Policy(stride=4), [0, 4, 8, 12, 16]),
        (Policy(fps=5), [0, 5, 10, 15]),
        (Policy(fps=10), [0, 3, 5, 8, 10, 13, 15, 18]),
        (Policy(fps=1000), list(range(20))),
        (Policy(start=0.2, end=0.4), [5, 6, 7, 8, 9]),
        (Policy(start=0.2, end=0.6, stride=3), [5, 8, 11, 14]),
        (Policy(end=0.08), [0, 1]),
        (Policy(start=5), []),
        (Policy(start=0.2, fps=5), [5, 10, 15]),
        (Policy(start=0.16, fps=4), [4, 11, 17]),
    ],
)
def test_policies_choose_frames_by_number_and_time(policy, indices):
    running = stream(scorer_with(size=56), ListSource(pictures(20)), policy)
    assert [result.index for result in running] == indices
    end = running.end
    assert end.status == "complete" and end.scored == len(indices)
    assert end.read == end.scored + end.flagged + end.dropped + end.skipped and end.dropped == 0


def test_after_a_pause_no_frame_is_made_up_for():
    times = [0.0, 0.5, 1.0, 5.7, 6.0, 6.5, 6.75, 7.7]
    items = [replace(frame, pts=pts) for frame, pts in zip(pictures(8), times, strict=True)]
    running = stream(scorer_with(size=56), ListSource(items), Policy(fps=1))
    assert [result.pts for result in running] == [0.0, 1.0, 5.7, 6.75, 7.7]


@pytest.mark.parametrize(("start", "told"), [(0.0, 1), (0.2, 1), (0.3, 1), (0.36, 0), (0.5, 0)])
def test_a_gap_counts_where_it_reaches_into_the_part(start, told):
    frames = pictures(20)
    items = [*frames[:5], GapEvent(4, 0.2, 0.16, "lost"), *frames[9:]]
    events = list(stream(scorer_with(size=56), ListSource(items), Policy(start=start)))
    assert sum(isinstance(event, GapEvent) for event in events) == told


@pytest.mark.parametrize(
    "wrong",
    [
        *({"mode": "fast"}, {"stride": 0}, {"batch": 0}, {"fps": 0.0}, {"fps": float("nan")}),
        *({"start": -1.0}, {"end": float("inf")}, {"start": 2.0, "end": 2.0}, {"max_latency_ms": 0.0}),
    ],
)
def test_policies_without_sense_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Policy(**wrong)


def test_the_reader_waits_for_a_slow_scorer():
    """Back-pressure: what lies between the two threads is bounded."""
    taken = []

    def counted():
        for frame in pictures(200):
            taken.append(frame.index)
            yield frame

    running = stream(scorer_with(size=56), ListSource(counted()), Policy(batch=4))
    next(running)
    sleep(0.3)
    assert len(taken) <= 4 + 2 * 4 + 1  # a batch, the ring, and one in hand
    assert len(list(running)) == 199


def test_live_mode_counts_exactly_what_it_drops():
    """A source at 25 frames a second through a backend that manages about 10."""
    running = stream(scorer_with(SlowBackend(0.09), size=56), ListSource(pictures(40)), Policy(mode="live"))
    results = list(running)
    end = running.end
    assert end.read == 40 and end.skipped == 0
    assert 0 < end.dropped < 40 and end.scored == len(results) > 1
    assert end.dropped == 40 - len(results)
    inner = sum(result.dropped_before for result in results)
    assert inner == results[-1].index + 1 - len(results)
    for before, after in pairwise(results):
        assert after.dropped_before == after.index - before.index - 1


def test_live_mode_drops_nothing_when_it_can_keep_up():
    """A source whose next frame comes when the one before has been scored."""
    backend = BrightnessBackend()

    def patient():
        for frame in pictures(20):
            while len(backend.batches) < frame.index:
                sleep(0.001)
            yield frame

    policy = Policy(mode="live", max_latency_ms=60_000)
    running = stream(scorer_with(backend, size=56), ListSource(patient(), live=True), policy)
    assert [result.index for result in running] == list(range(20))
    assert running.end.dropped == 0


def test_live_mode_lets_a_file_come_at_its_own_pace():
    begun = perf_counter()
    list(stream(scorer_with(size=56), ListSource(pictures(11)), Policy(mode="live")))
    assert perf_counter() - begun >= 10 / 25  # it may take longer on a busy machine, never less


def test_live_mode_never_drops_a_gap():
    items = []
    for frame in pictures(30):
        items += [frame, GapEvent(frame.index, frame.pts, 0.01, "away")]
    events = list(
        stream(scorer_with(SlowBackend(0.05), size=56), ListSource(items, live=True), Policy(mode="live"))
    )
    assert sum(isinstance(event, GapEvent) for event in events) == 30


def test_flagged_frames_are_not_scored():
    frames = pictures(4)
    black = np.full_like(frames[0].picture, 2)
    grey = np.full_like(black, 90)
    shown = [frames[0].picture, frames[0].picture, black, grey, frames[1].picture]
    items = [VideoFrame(index, index / 25, picture) for index, picture in enumerate(shown)]
    backend = BrightnessBackend()
    running = stream(scorer_with(backend, size=56), ListSource(items))
    results = list(running)
    assert [result.flags for result in results] == [(), ("frozen",), ("black",), ("flat",), ()]
    assert [result.score is None for result in results] == [False, True, True, True, False]
    assert sum(backend.batches) == 2
    assert (running.end.scored, running.end.flagged) == (2, 3)


@pytest.mark.parametrize("level", [2, 90])
def test_a_picture_that_comes_back_after_an_empty_frame_is_not_frozen(level):
    (shown,) = pictures(1)
    empty = np.full_like(shown.picture, level)
    items = [replace(shown, index=i, pts=i / 25) for i in range(3)]
    items[1] = replace(items[1], picture=empty)
    results = list(stream(scorer_with(size=56), ListSource(items)))
    assert [result.flags for result in results] == [(), ("black" if level < 16 else "flat",), ()]


def test_a_cut_is_told_by_the_first_result_of_the_new_shot():
    one, other = pictures(10), photo_like(8, 64, 96)
    items = [VideoFrame(i, i / 25, one[i].picture if i < 5 else other[:64]) for i in range(10)]
    results = list(stream(scorer_with(size=56), ListSource(items), Policy(stride=2)))
    assert [result.index for result in results if result.is_cut] == [6]


def test_a_cut_is_told_however_many_shots_were_passed_over():
    """Each frame is a shot of its own, and while the first is scored all others come."""
    noise = np.random.default_rng(0).integers(0, 19, (64, 96, 3), np.uint8)
    scoring, all_read = threading.Event(), threading.Event()

    class Waiting(BrightnessBackend):
        def infer(self, views):
            scoring.set()
            all_read.wait(60)
            return super().infer(views)

    def shots():
        for i in range(11):
            yield VideoFrame(i, i / 25, noise + np.uint8(20 * i + 20))
            scoring.wait(60)
        all_read.set()

    policy = Policy(mode="live", max_latency_ms=60_000)
    results = list(stream(scorer_with(Waiting(), size=56), ListSource(shots(), live=True), policy))
    assert [(result.is_cut, result.dropped_before) for result in results] == [(False, 0), (True, 9)]


def test_the_time_of_an_inference_is_divided_over_its_frames():
    begun = perf_counter()
    results = list(stream(scorer_with(SlowBackend(0.1), size=56), ListSource(pictures(8)), Policy(batch=4)))
    spent = 1e3 * (perf_counter() - begun)
    assert 199 <= sum(result.timings_ms["infer"] for result in results) <= spent


def test_stop_lets_out_what_was_read():
    running = stream(scorer_with(size=56), "testpattern:64x48")
    results = [next(running) for _ in range(20)]
    running.stop()
    results += list(running)
    assert [result.index for result in results] == list(range(len(results)))
    end = running.end
    assert end.status == "stopped" and end.sound
    assert end.read == end.scored + end.flagged == len(results)


def test_stop_from_a_signal_handler():
    running = stream(scorer_with(SlowBackend(0.01), size=56), "testpattern:64x48")
    before = signal.signal(signal.SIGTERM, lambda *_: running.stop())
    try:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
        results = list(running)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert running.end.status == "stopped" and running.end.read == len(results)


def test_closing_leaves_no_thread():
    with stream(scorer_with(size=56), "testpattern:64x48") as running:
        next(running)
    assert running.end.status == "stopped"
    assert list(running) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "crossiqa-read"]
    running.close()


def test_a_source_that_raises_ends_the_stream():
    def broken():
        yield from pictures(3)
        raise RuntimeError("rtsp://u:secret@h broke")

    running = stream(scorer_with(size=56), ListSource(broken()))
    assert len(list(running)) == 3
    assert running.end.status == "failed" and "RuntimeError" in running.end.reason
    assert "secret" not in running.end.reason


def test_small_frames_are_refused_at_once():
    with pytest.raises(InputError, match="too small"):
        stream(scorer_with(), ListSource(pictures(1), height=64, width=31))
