"""Files that are cut off, damaged or gone: scored as far as they go, and the end says what happened."""

import io
import threading

import av
import numpy as np
import pytest
from video_clips import FPS, BrightnessBackend, encode, moving, scorer_with

from crossiqa_edge.errors import BackendError, InputError
from crossiqa_edge.video import reading
from crossiqa_edge.video.address import piped
from crossiqa_edge.video.pipeline import stream
from crossiqa_edge.video.results import FrameScore, GapEvent
from crossiqa_edge.video.source import open_source


class FrontToBack:
    """What a pipe lets one do with the content of a file."""

    def __init__(self, path):
        self._content = io.BytesIO(path.read_bytes())

    def read(self, size):
        return self._content.read(size)


def through_a_pipe(path):
    return open_source(piped(FrontToBack(path), "-"))


def scored(path):
    running = stream(scorer_with(size=56), path)
    events = list(running)
    frames = [event for event in events if isinstance(event, FrameScore)]
    return frames, [event for event in events if isinstance(event, GapEvent)], running.end


def damaged(path, at, length=300):
    """``path`` with noise from the share ``at`` of its bytes on."""
    content = bytearray(path.read_bytes())
    start = int(len(content) * at)
    noise = np.random.default_rng(3).integers(0, 256, length, np.uint8)
    content[start : start + length] = noise.tobytes()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".h264"])
def test_a_truncated_file_is_scored_up_to_there(tmp_path, suffix):
    path = encode(tmp_path / f"clip{suffix}", moving(60))
    whole, _, end = scored(path)
    assert len(whole) == 60 and end.sound
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    frames, _, end = scored(path)
    assert 25 <= len(frames) < 45
    assert [frame.score for frame in frames] == [frame.score for frame in whole[: len(frames)]]
    assert end.status == "truncated" and not end.sound


def test_raw_pictures_that_end_within_one_are_truncated(tmp_path):
    path = encode(tmp_path / "clip.y4m", moving(20), codec="rawvideo", form="yuv4mpegpipe")
    whole, _, end = scored(path)
    assert len(whole) == 20 and end.sound
    path.write_bytes(path.read_bytes()[:-1000])
    frames, _, end = scored(path)
    assert (len(frames), end.status, end.reason) == (19, "truncated", "ends inside a picture")


@pytest.mark.parametrize("slices", ["1", "4"])
@pytest.mark.parametrize("at", [0.02, 0.3, 0.5, 0.6])
def test_damage_in_a_pipe_is_that_of_the_file(tmp_path, at, slices):
    """Of several slices a picture too, which FFmpeg would decode in parallel and then not tell of damage."""
    path = damaged(encode(tmp_path / "clip.ts", moving(60), options={"slices": slices}), at)
    frames, gaps, end = scored(path)
    assert gaps and end.status == "damaged"
    assert (gaps[0].after_index is None) == (at == 0.02)  # damage at the very beginning is told too
    piped_frames, *rest = scored(through_a_pipe(path))
    assert rest == [gaps, end]
    # What a decoder makes of a picture that builds on a damaged one depends on its threads.
    assert [frame.index for frame in piped_frames] == [frame.index for frame in frames]
    assert piped_frames[0].score == frames[0].score


@pytest.mark.parametrize(("suffix", "codec"), [(".ts", "libx264"), (".y4m", "rawvideo")])
def test_a_pipe_that_breaks_off_is_truncated_as_the_file_is(tmp_path, suffix, codec):
    form = "yuv4mpegpipe" if suffix == ".y4m" else None
    path = encode(tmp_path / f"clip{suffix}", moving(20), codec=codec, form=form, options={"bf": "0"})
    frames, gaps, end = scored(through_a_pipe(path))
    assert (len(frames), gaps, end.status) == (20, [], "complete")
    path.write_bytes(path.read_bytes()[:-100])
    _, _, of_file = scored(path)
    _, _, of_pipe = scored(through_a_pipe(path))
    assert of_pipe == of_file and of_pipe.status == "truncated"


def test_packets_with_a_time_stamp_each_are_whole_packets(tmp_path):
    """Transport streams as camcorders and discs have them: 192 bytes a packet."""
    plain, stamped = encode(tmp_path / "clip.ts", moving(20)), tmp_path / "clip.m2ts"
    options = {"mpegts_m2ts_mode": "1"}
    with av.open(str(plain)) as source, av.open(str(stamped), "w", "mpegts", options) as target:
        track = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = track
                target.mux(packet)
    assert stamped.stat().st_size % 188
    frames, _, end = scored(stamped)
    assert (len(frames), end.status) == (20, "complete")
    stamped.write_bytes(stamped.read_bytes()[:-100])
    assert scored(stamped)[2].status == "truncated"


def test_a_truncated_mp4_says_how_far_it_goes(tmp_path):
    path = encode(tmp_path / "clip.mp4", moving(60), faststart=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    frames, _, end = scored(path)
    assert 25 <= len(frames) < 45
    assert end.status == "truncated"


def test_an_mp4_without_its_index_is_refused(tmp_path):
    path = encode(tmp_path / "clip.mp4", moving(60))  # its index lies at the end
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(InputError, match=r"clip\.mp4: cannot be opened"):
        scored(path)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("at", [0.3, 0.5, 0.6])
def test_damage_inside_a_file_is_a_gap_and_the_rest_is_scored(tmp_path, suffix, at):
    path = damaged(encode(tmp_path / f"clip{suffix}", moving(60)), at)
    events = list(running := stream(scorer_with(size=56), path))
    assert 45 <= running.end.scored < 60
    assert running.end.status == "damaged" and not running.end.sound
    assert any(isinstance(event, GapEvent) and event.reason == "damaged picture" for event in events)
    until = 0.0
    for event in events:  # no stretch of time is passed over in silence
        gap = isinstance(event, GapEvent)
        start, seconds = (event.start_pts, event.seconds) if gap else (event.pts, 1 / FPS)
        assert start < until + 0.5 / FPS
        until = max(until, start + seconds)
    assert until == pytest.approx(60 / FPS, abs=0.01)


def test_damage_in_a_bare_stream_is_found_where_its_decoder_finds_it(tmp_path):
    """Without time stamps, a picture that is lost as a whole leaves no trace."""
    frames, gaps, end = scored(damaged(encode(tmp_path / "clip.h264", moving(60)), 0.5))
    assert len(frames) == 59 and [gap.reason for gap in gaps] == ["damaged picture"]
    assert gaps[0].after_index + 1 not in [frame.index for frame in frames]
    assert end.status == "damaged" and end.reason.endswith(f"frame {gaps[0].after_index + 1}")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty, 0 bytes"), (b"no video", "cannot be opened"), (bytes(10_000), "cannot be opened")],
)
def test_what_is_no_video_is_refused(tmp_path, content, reason):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"clip\.mp4: {reason}"):
        scored(path)


def test_sound_alone_is_refused(tmp_path):
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(sound.encode(frame))
    with pytest.raises(InputError, match="holds no video"):
        scored(path)


def test_a_decoder_that_dies_ends_the_stream_with_what_was_read(tmp_path, monkeypatch):
    path = encode(tmp_path / "clip.mkv", moving(60))
    taken = iter(range(1000))

    def dying(frame):
        if next(taken) == 31:  # the first frame is looked at twice
            raise MemoryError("no room for a frame")
        return picture_of(frame)

    picture_of = reading.picture_of
    monkeypatch.setattr(reading, "picture_of", dying)
    frames, _, end = scored(path)
    assert [frame.index for frame in frames] == list(range(30))
    assert end.status == "failed" and "no room for a frame" in end.reason
    assert (end.read, end.scored) == (30, 30)
    assert not [thread for thread in threading.enumerate() if thread.name == "crossiqa-read"]


def test_a_backend_that_fails_raises_after_what_it_has_scored(tmp_path):
    class Failing(BrightnessBackend):
        def infer(self, views):
            if len(self.batches) == 3:
                raise BackendError("out of memory; use a smaller batch")
            return super().infer(views)

    running = stream(scorer_with(Failing(), size=56), encode(tmp_path / "clip.mkv", moving(60)))
    results = []
    with pytest.raises(BackendError, match="smaller batch"):
        for event in running:
            results.append(event)  # noqa: PERF402 - what came before the error counts
    assert len(results) == 24
    assert running.end.status == "failed" and running.end.scored == 24
