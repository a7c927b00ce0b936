import os
import shutil
import sys
from pathlib import Path

import pytest
from video_clips import encode, moving

from crossiqa_edge.errors import ConfigError, InputError
from crossiqa_edge.video import decoder
from crossiqa_edge.video.address import address_of, piped
from crossiqa_edge.video.frames import VideoFrame
from crossiqa_edge.video.source import open_source


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return encode(tmp_path_factory.mktemp("clips") / "clip.mkv", moving(4))


@pytest.mark.parametrize(
    "name",
    [
        "-clip.mkv",
        "--help",
        "a%03d.mkv",
        "a?b#c@d.mkv",
        "-",
        "camera:0",
        "http:clip",
        "gst:x",
        "rtsp:a@b",
        "é ü",
    ],
)
def test_a_file_may_have_any_name(clip, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    shutil.copy(clip, name)
    for given in (Path(name), f"./{name}", str(tmp_path / name)):
        assert len(list(open_source(given))) == 4


def test_a_name_that_begins_with_a_dash_needs_no_prefix(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(clip, "-clip.mkv")
    assert address_of("-clip.mkv").target == "file:-clip.mkv"


@pytest.mark.parametrize(
    "text",
    [
        *("ftp://h/x", "file:///etc/passwd", "concat://a", "smb://h/x", "gopher://h", "data://x"),
        *("subfile://x", "crypto+file://x", "unix://x", "srtp://h", "FTP://h"),
    ],
)
def test_protocols_that_are_not_listed_are_refused(text):
    with pytest.raises(InputError, match="not allowed; use rtsp, rtsps, http, https, udp"):
        address_of(text)


@pytest.mark.parametrize(
    "text", ["pipe:0", "concat:a.ts|b.ts", "subfile,,start,0,end,9,,:a.ts", "data:video/mp4,"]
)
def test_protocols_without_slashes_are_names_of_files_that_are_not_there(text):
    with pytest.raises(InputError, match="cannot be read"):
        open_source(text)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.txt", "ffconcat version 1.0\nfile clip.mkv\n"),
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.ts\n#EXT-X-ENDLIST\n"),
        (
            "session.sdp",
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 33\n",
        ),
        ("graph.txt", "testsrc"),
    ],
)
def test_files_that_name_other_sources_are_refused(clip, tmp_path, name, content):
    shutil.copy(clip, tmp_path / "clip.mkv")
    encode(tmp_path / "clip.ts", moving(4))
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match="cannot be opened"):
        open_source(tmp_path / name)


@pytest.mark.parametrize(
    "text", ["rtsp://h/a b", "http://h/'x'", "http://u:p\\@h/", "http://h/\n", 'rtsp://u:p"w@h']
)
def test_urls_that_cannot_be_right_are_refused_without_repeating_them(text):
    with pytest.raises(InputError, match="write them as %20") as refused:
        address_of(text)
    assert "p\\" not in str(refused.value) and 'p"w' not in str(refused.value)


def test_devices_and_cameras():
    with pytest.raises(InputError, match="a camera is given as camera:"):
        address_of("/dev/null")
    if sys.platform == "linux":
        with pytest.raises(InputError, match="no such camera; devices here"):
            address_of("camera:987")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="v4l2 is Linux's")
def test_a_camera_that_is_there(monkeypatch):
    monkeypatch.setattr(Path, "is_char_device", lambda self: str(self) == "/dev/video3")
    address = address_of("camera:3")
    assert (address.target, address.format, address.name) == ("/dev/video3", "v4l2", "camera:3")
    assert address_of("camera:/dev/video3").target == "/dev/video3"


@pytest.mark.parametrize(
    ("form", "codec"), [("mpegts", "libx264"), ("yuv4mpegpipe", "rawvideo"), ("matroska", "ffv1")]
)
def test_what_comes_through_a_pipe(tmp_path, form, codec):
    path = encode(tmp_path / "clip", moving(6), codec=codec, form=form)
    reading, writing = os.pipe()
    if os.fork() == 0:  # a thread would do, but a decoder may not depend on its writer's interpreter
        try:
            with open(writing, "wb") as pipe:  # noqa: PTH123 - a descriptor
                pipe.write(path.read_bytes())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb", 0) as pipe:
        source = open_source(piped(pipe, "standard input"))
        assert source.facts.name == "standard input" and not source.facts.live
        assert len([item for item in source if isinstance(item, VideoFrame)]) == 6
        assert source.end.status == "complete"


def test_hardware_is_used_refused_or_passed_over_with_a_reason(clip, monkeypatch):
    assert "in software, as asked" in open_source(clip).facts.decoder
    with pytest.raises(ConfigError, match="does not offer 'abacus'"):
        open_source(clip, hardware="abacus")
    monkeypatch.setattr(decoder, "_SIGNS", {})
    assert "no hardware decoder found" in open_source(clip, hardware="auto").facts.decoder
    monkeypatch.setattr(decoder, "_offered", lambda: {"abacus"})  # FFmpeg knows no such device: it fails
    monkeypatch.setattr(decoder, "_SIGNS", {"abacus": "/"})
    assert "abacus does not decode it" in open_source(clip, hardware="auto").facts.decoder
    with pytest.raises(InputError, match=r"abacus does not decode it.*decode in software"):
        open_source(clip, hardware="abacus")


@pytest.mark.parametrize("wrong", [{"timeout": 0}, {"patience": -1}, {"folder_fps": 0}])
def test_options_out_of_range_are_refused(clip, wrong):
    with pytest.raises(ConfigError):
        open_source(clip, **wrong)


def test_a_closed_standard_input_is_named(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputError, match="standard input is closed"):
        address_of("-")
