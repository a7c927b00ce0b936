"""Streams over the network, on loopback: played, cut in mid-stream, come back, given up; and kept secret."""

from __future__ import annotations

import socket
import threading
from time import sleep

import pytest
from stream_servers import TS_PACKET, HttpHandler, RtspHandler, serving
from video_clips import FPS, encode, moving, scorer_with

from crossiqa_edge.errors import InputError
from crossiqa_edge.video import container
from crossiqa_edge.video.pipeline import stream
from crossiqa_edge.video.results import FrameScore, GapEvent
from crossiqa_edge.video.source import open_source

FRAMES = 75
SERVERS = [("http", HttpHandler), ("rtsp", RtspHandler)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = encode(tmp_path_factory.mktemp("live") / "clip.ts", moving(FRAMES), options={"bf": "0"})
    return path.read_bytes()


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    monkeypatch.setattr(container, "_FIRST_WAIT", 0.05)


def scored(url, **options):
    running = stream(scorer_with(size=56), open_source(url, **options))
    events = list(running)
    frames = [event for event in events if isinstance(event, FrameScore)]
    return frames, [event for event in events if isinstance(event, GapEvent)], running


def url_of(server, scheme, login="", rest="/live"):
    return f"{scheme}://{login}127.0.0.1:{server.server_address[1]}{rest}"


@pytest.mark.parametrize(("scheme", "handler"), SERVERS)
def test_a_stream_is_played_and_given_up_after_it_has_gone(clip, scheme, handler):
    with serving(handler, [clip]) as server:
        frames, gaps, running = scored(url_of(server, scheme), patience=0.3, timeout=5)
    assert running.facts.live and running.facts.duration is None
    assert len(frames) >= FRAMES - 1  # the last frame of a stream that is cut may lack its end
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert frames[10].pts == pytest.approx(10 / FPS, abs=0.001)
    assert running.end.status == "lost" and "not back after" in running.end.reason
    assert len(gaps) == 1 and gaps[0].after_index == frames[-1].index


@pytest.mark.parametrize(("scheme", "handler"), SERVERS)
def test_a_cut_in_mid_stream_is_one_gap_and_the_stream_goes_on(clip, scheme, handler):
    half = clip[: len(clip) // 2 // TS_PACKET * TS_PACKET]
    with serving(handler, [half, None, clip]) as server:  # cut, refused once, back
        frames, gaps, running = scored(url_of(server, scheme), patience=1, timeout=5)
    (outage,) = [gap for gap in gaps if "reopened" in gap.reason]  # the cut picture is a gap of its own
    assert outage.seconds > 0.05
    before = [frame for frame in frames if frame.index <= outage.after_index]
    after = frames[len(before) :]
    assert 20 < len(before) < FRAMES and len(after) >= FRAMES - 1
    assert after[0].index == outage.after_index + 1
    assert after[0].pts == pytest.approx(outage.start_pts + outage.seconds, abs=0.001)
    assert running.end.status == "lost"


def test_patience_of_none_ends_with_the_stream(clip):
    with serving(HttpHandler, [clip]) as server:
        frames, gaps, running = scored(url_of(server, "http"), patience=0)
    assert len(frames) >= FRAMES - 1 and not gaps and running.end.status in ("complete", "lost")


def test_a_stream_that_stalls_is_a_loss(clip):
    """A server that stops sending without closing: found out by the timeout."""
    release = threading.Event()

    class Stalling(HttpHandler):
        def handle(self):
            super().handle()
            self.wfile.flush()
            release.wait(10)

    with serving(Stalling, [clip]) as server:
        frames, _, running = scored(url_of(server, "http"), patience=0.2, timeout=0.7)
        release.set()
    assert len(frames) >= FRAMES - 2
    assert running.end.status == "lost"


def test_stopping_while_the_source_is_away(clip):
    with serving(HttpHandler, [clip]) as server:
        running = stream(scorer_with(size=56), open_source(url_of(server, "http"), patience=60))
        threading.Timer(1.0, running.stop).start()
        events = list(running)
    assert len(events) >= FRAMES - 1
    assert running.end.status == "stopped"


def test_udp_multicast_free_loopback(clip):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stop = threading.Event()

    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not stop.is_set():
                for start in range(0, len(clip), 7 * TS_PACKET):
                    sender.sendto(clip[start : start + 7 * TS_PACKET], ("127.0.0.1", port))
                    sleep(0.001)

    sending = threading.Thread(target=send)
    sending.start()
    try:
        with stream(scorer_with(size=56), open_source(f"udp://127.0.0.1:{port}", timeout=5)) as running:
            frames = [event for event in (next(running) for _ in range(40)) if isinstance(event, FrameScore)]
    finally:
        stop.set()
        sending.join()
    assert len(frames) > 20 and running.facts.live


@pytest.mark.parametrize(("scheme", "handler"), SERVERS)
def test_credentials_stay_inside(clip, scheme, handler, capfd):
    login, rest = "user:p%40ssword@", "/live?token=t0ken"
    secrets = ("p%40ssword", "p@ssword", "t0ken")
    with serving(handler, [clip]) as server:
        url = url_of(server, scheme, login, rest)
        frames, gaps, running = scored(url, patience=0.2, timeout=5)
        with pytest.raises(InputError) as refused:
            open_source(url, timeout=5)
        assert any("t0ken" in request for request in server.requests)  # the server does get them
    said = (
        repr([running.facts, running.end, gaps, frames[0]]) + str(refused.value) + "".join(capfd.readouterr())
    )
    assert not [secret for secret in secrets if secret in said]
    assert "127.0.0.1" in running.facts.name
    chain = refused.value
    while chain is not None:  # a traceback prints the causes too
        assert not [secret for secret in secrets if secret in f"{chain!r} {chain}"]
        chain = chain.__cause__ or chain.__context__
