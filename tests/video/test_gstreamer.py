"""GStreamer on both sides: as a source through its own process, and as a real RTSP server."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from itertools import pairwise
from time import monotonic, sleep

import pytest
from video_clips import encode, moving, scorer_with

from crossiqa_edge.errors import InputError
from crossiqa_edge.video.frames import VideoFrame
from crossiqa_edge.video.pipeline import stream
from crossiqa_edge.video.results import FrameScore, GapEvent
from crossiqa_edge.video.source import open_source

needs_gstreamer = pytest.mark.skipif(
    shutil.which("gst-launch-1.0") is None, reason="gst-launch-1.0 is not installed"
)


def pretend_launcher(folder, monkeypatch, script):
    """Put a program of the launcher's name first on the path."""
    launcher = folder / "gst-launch-1.0"
    launcher.write_text(f"#!{sys.executable}\n{script}")
    launcher.chmod(launcher.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_without_gstreamer_the_remedy_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="apt install gstreamer1"):
        open_source("gst:videotestsrc")


def test_the_pipeline_is_handed_over_word_by_word_and_its_pictures_are_read(tmp_path, monkeypatch):
    clip = encode(tmp_path / "clip.mkv", moving(12), codec="rawvideo")
    said = tmp_path / "said"
    script = (
        "import sys, pathlib, json\n"
        f"pathlib.Path({str(said)!r}).write_text(json.dumps(sys.argv[1:]))\n"
        f"sys.stdout.buffer.write(pathlib.Path({str(clip)!r}).read_bytes())\n"
    )
    pretend_launcher(tmp_path, monkeypatch, script)
    source = open_source("gst:filesrc location='a b.mp4; rm -r x' ! decodebin")
    assert len([item for item in source if isinstance(item, VideoFrame)]) == 12
    assert source.end.status == "complete" and source.facts.live
    assert '["-q", "filesrc", "location=a b.mp4; rm -r x", "!", "decodebin", "!"' in said.read_text()


def test_a_pipeline_that_fails_half_way_is_told(tmp_path, monkeypatch):
    clip = encode(tmp_path / "clip.mkv", moving(12), codec="rawvideo")
    script = (
        "import sys, pathlib\n"
        f"sys.stdout.buffer.write(pathlib.Path({str(clip)!r}).read_bytes()[:-100])\n"
        "sys.exit('ERROR: from element rtspsrc0: rtsp://u:secret@h gone')\n"
    )
    pretend_launcher(tmp_path, monkeypatch, script)
    source = open_source("gst:rtspsrc")
    assert len([item for item in source if isinstance(item, VideoFrame)]) >= 10
    assert source.end.status == "truncated"
    assert "rtspsrc0" in source.end.reason and "secret" not in source.end.reason


@pytest.mark.parametrize(("text", "reason"), [("gst:", "needs a pipeline"), ("gst:a ! 'b", "open quote")])
def test_pipelines_without_sense_are_refused(tmp_path, monkeypatch, text, reason):
    pretend_launcher(tmp_path, monkeypatch, "")
    with pytest.raises(InputError, match=reason):
        open_source(text)


@needs_gstreamer
def test_a_real_pipeline_keeps_its_time_stamps():
    caps = "video/x-raw,width=64,height=48,framerate=50/1"
    source = open_source(f"gst:videotestsrc num-buffers=20 ! {caps}")
    frames = [item for item in source if isinstance(item, VideoFrame)]
    assert [frame.pts for frame in frames] == pytest.approx([index / 50 for index in range(20)], abs=0.001)
    assert frames[0].size == (48, 64) and source.end.status == "complete"
    with pytest.raises(InputError, match=r"no element .nonsense"):
        open_source("gst:nonsense")


SERVER = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer(service=sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
caps = "video/x-raw,format=I420,width=128,height=96,framerate=25/1"
factory.set_launch(f"( videotestsrc is-live=true pattern=ball ! {caps} ! jpegenc ! rtpjpegpay name=pay0 )")
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
GLib.MainLoop().run()
"""
SYSTEM_PYTHON = "/usr/bin/python3"


def has_rtsp_server():
    check = SERVER.split("Gst.init")[0]
    try:
        return subprocess.run([SYSTEM_PYTHON, "-c", check], capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def started_server(port):
    server = subprocess.Popen([SYSTEM_PYTHON, "-c", SERVER, str(port)], stderr=subprocess.DEVNULL)
    until = monotonic() + 20
    while monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return server
        sleep(0.05)
    server.kill()
    raise AssertionError("the RTSP server did not start")


@pytest.mark.skipif(not has_rtsp_server(), reason="GStreamer's RTSP server for Python is not installed")
def test_a_real_rtsp_server_that_dies_and_comes_back():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = started_server(port)
    try:
        with stream(scorer_with(size=56), open_source(f"rtsp://127.0.0.1:{port}/live", timeout=5)) as running:
            assert running.facts.live and (running.facts.width, running.facts.codec) == (128, "mjpeg")
            before = [next(running) for _ in range(16)]
            server.kill()
            server.wait()
            server = started_server(port)
            events = []
            while sum(isinstance(event, FrameScore) for event in events[-16:]) < 16 or not any(
                isinstance(event, GapEvent) for event in events
            ):
                events.append(next(running))
    finally:
        server.kill()
        server.wait()
    frames = [event for event in [*before, *events] if isinstance(event, FrameScore)]
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert all(later.pts > earlier.pts for earlier, later in pairwise(frames))
    outage = next(event for event in events if isinstance(event, GapEvent))
    assert "reopened" in outage.reason and outage.seconds > 0.2
