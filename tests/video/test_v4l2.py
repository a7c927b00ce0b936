"""Video4Linux as a decoder: what FFmpeg has of it, without a device; the way around it, with a stand-in.

The stand-in is FFmpeg's decoder in software under another name: a decoder beside the stream's own, as those
of Video4Linux are. What a driver does is not tested here.
"""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from video_clips import FPS, encode, moving

from crossiqa_edge.errors import ConfigError, InputError
from crossiqa_edge.video import v4l2
from crossiqa_edge.video.frames import VideoFrame
from crossiqa_edge.video.source import open_source

needs_decoders = pytest.mark.skipif(not v4l2.offered(), reason="this FFmpeg has no decoders of Video4Linux")
no_device = pytest.mark.skipif(any(Path("/dev").glob("video*")), reason="a device might decode")


@pytest.fixture
def clip(tmp_path):
    return encode(tmp_path / "clip.mp4", moving(30))  # with B-frames, and parameter sets in the container


@pytest.fixture
def stand_in(monkeypatch):
    """Every codec has a decoder of Video4Linux, and it works."""
    created, create = [], av.CodecContext.create

    class Context:
        @staticmethod
        def create(name, mode):
            created.append(name)
            return create({"mpeg2_v4l2m2m": "mpeg2video"}.get(name, "h264"), mode)

    monkeypatch.setattr(av, "CodecContext", Context)
    monkeypatch.setattr(av, "codecs_available", {"h264_v4l2m2m", "mpeg2_v4l2m2m"})
    return created


def read(path, **options):
    source = open_source(path, hardware="v4l2m2m", **options)
    return source, [item for item in source if isinstance(item, VideoFrame)]


def test_an_ffmpeg_without_them_says_what_it_has(clip, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", {"h264", "hevc"})
    with pytest.raises(ConfigError, match=r"does not offer 'v4l2m2m' to decode; it offers .*software"):
        open_source(clip, hardware="v4l2m2m")


@needs_decoders
@no_device
def test_without_a_device_it_is_refused_in_one_line(clip):
    with pytest.raises(InputError, match=r"finds no device for h264_v4l2m2m.*; decode in software") as caught:
        open_source(clip, hardware="v4l2m2m")
    assert "\n" not in str(caught.value)


@needs_decoders
def test_a_codec_that_it_does_not_know_is_refused(tmp_path):
    path = encode(tmp_path / "clip.mkv", moving(2), codec="ffv1")
    with pytest.raises(InputError, match="FFmpeg has no ffv1_v4l2m2m"):
        open_source(path, hardware="v4l2m2m")


@needs_decoders
@no_device
def test_auto_tries_it_where_a_driver_calls_itself_a_decoder_and_passes_it_over(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(v4l2, "_DEVICES", tmp_path)
    monkeypatch.setattr("crossiqa_edge.video.decoder._SIGNS", {})
    for device, driver in {"video0": "USB camera", "video10": "bcm2835-codec-decode"}.items():
        (tmp_path / device).mkdir()
        (tmp_path / device / "name").write_text(driver)
    assert v4l2.sign() == "/dev/video10"
    assert "in software, v4l2m2m does not decode it" in open_source(clip, hardware="auto").facts.decoder


def test_frames_and_times_are_those_of_decoding_in_software(clip, stand_in):
    source, frames = read(clip)
    expected = [item for item in open_source(clip) if isinstance(item, VideoFrame)]
    assert source.facts.decoder == "h264 on v4l2m2m, as asked" and source.end.status == "complete"
    assert stand_in == ["h264_v4l2m2m"]
    assert [frame.pts for frame in frames] == pytest.approx([index / FPS for index in range(30)])
    for one, other in zip(frames, expected, strict=True):
        assert (one.rgb() == other.rgb()).all()


def test_after_a_seek_nothing_from_before_comes_out(clip, stand_in):
    _, frames = read(clip, start=0.5)
    assert frames[0].pts == pytest.approx(12 / FPS)  # the key frame before 0.5 s
    assert len(frames) == 18 and len(stand_in) == 2


def test_a_transport_stream_needs_no_look_at_its_first_frame(tmp_path, stand_in):
    _, frames = read(encode(tmp_path / "clip.ts", moving(12), codec="mpeg2video"))
    assert len(frames) == 12 and stand_in == ["mpeg2_v4l2m2m"]


def test_frames_that_are_to_be_turned_are_refused(tmp_path, stand_in):
    path = encode(tmp_path / "clip.mp4", moving(4), rotation=90)
    with pytest.raises(InputError, match="turned by 90 degrees"):
        open_source(path, hardware="v4l2m2m")
