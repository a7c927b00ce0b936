import asyncio
import threading

import av
import numpy as np
import pytest
from fake_cuda import FakeCuda, on_device
from video_clips import BrightnessBackend, encode, moving, scorer_with

from crossiqa_edge import Policy, Scorer
from crossiqa_edge.errors import BackendError, InputError
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.imaging.yuv import Planes
from crossiqa_edge.video.forms import stream_async, stream_to
from crossiqa_edge.video.pipeline import stream


@pytest.fixture
def clip(tmp_path):
    return encode(tmp_path / "clip.mkv", moving(20), codec="ffv1")


def test_pushing_frames_gives_the_scores_that_streaming_gives(clip):
    scorer = scorer_with()
    streamed = list(scorer.stream(clip))
    frames = list(moving(20))
    pushed = [scorer_with().push(frames[0], 0.0), *map(scorer.push, frames, np.arange(20) / 25)]
    assert pushed[0].index == 0
    for one, other in zip(pushed[1:], streamed, strict=True):
        assert (one.index, one.pts, one.flags) == (other.index, pytest.approx(other.pts), other.flags)
        assert one.score == pytest.approx(other.score, abs=1.0)  # the clip went through 4:2:0


def test_planes_can_be_pushed():
    height, width = 96, 128
    nv12 = np.full((height * 3 // 2, width), 128, np.uint8)
    nv12[:height] = photo_like(1, height, width)[..., 1]
    planes = Planes.from_nv12(nv12, full_range=True)
    result = scorer_with().push(planes, 0.0)
    assert result.score == pytest.approx(scorer_with().score(nv12[:height]).value, abs=0.1)


def test_flags_and_cuts_of_pushed_frames():
    scorer = scorer_with()
    one, other = photo_like(1, 96, 128), photo_like(8, 96, 128)
    shown = [one, one, np.zeros_like(one), other, np.full_like(one, 77), other, other]
    results = [scorer.push(picture, index / 25) for index, picture in enumerate(shown)]
    flags = [(), ("frozen",), ("black",), (), ("flat",), (), ("frozen",)]
    assert [result.flags for result in results] == flags
    assert [result.is_cut for result in results] == [False, False, True, True, True, True, False]


@pytest.mark.parametrize("pts", [0.0, -1.0, float("nan")])
def test_time_must_advance(pts):
    scorer = scorer_with()
    scorer.push(photo_like(1, 96, 128), 0.0)
    with pytest.raises(InputError, match="does not come after"):
        scorer.push(photo_like(2, 96, 128), pts)
    assert scorer.push(photo_like(2, 96, 128), 0.1).index == 1


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((96, 128), np.uint8), np.zeros((96, 128, 3)), np.zeros((20, 20, 3), np.uint8), "clip.mp4"],
)
def test_what_is_no_frame_is_refused(wrong):
    with pytest.raises(InputError):
        scorer_with().push(wrong, 0.0)


@pytest.fixture
def cuda(monkeypatch):
    device = FakeCuda()
    monkeypatch.setattr("crossiqa_edge.runtime.device_array.CudaRuntime", lambda: device)
    return device


def test_frames_in_gpu_memory_get_the_scores_of_those_in_main_memory(cuda):
    frames = list(moving(4))
    pushed = [
        scorer.push(on_device(frame), pts) for scorer in [scorer_with()] for pts, frame in enumerate(frames)
    ]
    expected = [scorer.push(frame, pts) for scorer in [scorer_with()] for pts, frame in enumerate(frames)]
    assert pushed == expected and None not in [result.score for result in pushed]


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((96, 128, 3), np.float32),
        np.zeros((3, 96, 128), np.uint8),
        np.zeros((144, 128), np.uint8),
        np.zeros((20, 20, 3), np.uint8),
        np.zeros((96, 256, 3), np.uint8)[:, ::2],
    ],
    ids=["floats", "channels first", "NV12", "small", "every other pixel"],
)
def test_other_arrays_in_gpu_memory_are_refused_in_a_line(cuda, wrong):
    with pytest.raises(InputError) as caught:
        scorer_with().push(on_device(wrong), 0.0)
    assert "\n" not in str(caught.value)


def test_closing_the_scorer_gives_back_what_was_taken_on_the_gpu(cuda):
    with scorer_with() as scorer:
        scorer.push(on_device(photo_like(1, 96, 128)), 0.0)
        assert not cuda.closed
    assert cuda.closed


def test_results_come_to_a_callback(clip):
    events, threads = [], set()

    def callback(event):
        events.append(event)
        threads.add(threading.current_thread())

    end = stream_to(callback, scorer_with(), clip).wait(30)
    assert end.status == "complete" and len(events) == 20
    assert threading.main_thread() not in threads


def test_a_background_stream_can_be_stopped():
    seen = threading.Event()
    running = stream_to(lambda event: seen.set(), scorer_with(), "testpattern:64x48")
    assert running.wait(0.01) is None
    seen.wait(10)
    running.stop()
    assert running.wait(10).status == "stopped"


def test_what_a_callback_raises_comes_out_of_wait(clip):
    def failing(event):
        raise KeyError("no such channel")

    with pytest.raises(KeyError, match="no such channel"):
        stream_to(failing, scorer_with(), clip).wait(30)


def test_async_for_leaves_the_loop_free(clip):
    async def both():
        ticks, results = 0, []

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        async for event in stream_async(scorer_with(), clip, Policy(batch=4)):
            results.append(event)  # noqa: PERF401 - ticks are counted meanwhile
        ticking.cancel()
        return ticks, results

    ticks, results = asyncio.run(both())
    assert [result.index for result in results] == list(range(20))
    assert ticks > 20


def test_leaving_an_async_loop_closes_the_stream():
    async def some():
        results = stream_async(scorer_with(), "testpattern:64x48")
        async for _ in results:
            break
        await results.aclose()

    asyncio.run(some())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("crossiqa")]


def test_async_errors_are_raised_where_they_are_awaited(clip):
    class Failing(BrightnessBackend):
        def infer(self, views):
            raise BackendError("no memory; use a smaller batch")

    async def consume(source, backend):
        return [event async for event in stream_async(scorer_with(backend), source)]

    with pytest.raises(BackendError, match="smaller batch"):
        asyncio.run(consume(clip, Failing()))
    with pytest.raises(InputError, match="cannot be read"):
        asyncio.run(consume("nowhere.mp4", None))


@pytest.mark.parametrize("name", ["nano", "tiny"])
def test_a_shipped_model_scores_frames_as_it_scores_the_pictures_that_they_are(clip, name):
    with av.open(clip) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)][::5]
    with Scorer.load(name) as scorer:
        results = list(stream(scorer, clip, Policy(stride=5)))
        expected = [scorer.score(picture).value for picture in pictures]
    # FFmpeg and the sampler bring chroma up to luma's size by other filters
    assert [result.score for result in results] == pytest.approx(expected, abs=1.5)
