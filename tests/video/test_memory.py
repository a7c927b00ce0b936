"""An endless stream is scored in constant memory: 20,000 frames of a looped clip through the real decoder."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import av
import pytest
from video_clips import encode, moving, scorer_with

from crossiqa_edge.video.address import piped
from crossiqa_edge.video.pipeline import stream
from crossiqa_edge.video.policy import Policy
from crossiqa_edge.video.source import open_source

FRAMES = 20_000
CLIP = 100  # frames
WARM_UP = 4_000
ALLOWED = 5 << 20  # bytes


def resident():
    """Bytes of this process in main memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def loop_into(descriptor, path, rounds):
    """Write the packets of ``path`` again and again, as one transport stream."""
    with (
        open(descriptor, "wb") as pipe,  # noqa: PTH123 - a descriptor, not a path
        av.open(str(path)) as clip,
        av.open(pipe, "w", format="mpegts") as endless,
    ):
        source = clip.streams.video[0]
        target = endless.add_stream_from_template(source)
        packets = [packet for packet in clip.demux(source) if packet.size]
        length = CLIP * int(source.average_rate and 1 / (source.average_rate * source.time_base))
        contents = [(bytes(packet), packet.pts, packet.dts, packet.is_keyframe) for packet in packets]
        for turn in range(rounds):
            for content, pts, dts, key in contents:
                packet = av.Packet(content)
                packet.stream, packet.time_base = target, source.time_base
                packet.pts, packet.dts = pts + turn * length, dts + turn * length
                packet.is_keyframe = key
                endless.mux(packet)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
def test_memory_stays_flat_over_an_endless_stream(tmp_path):
    path = encode(tmp_path / "clip.ts", moving(CLIP, 48, 64), options={"bf": "0"})
    reading, writing = os.pipe()
    writer = threading.Thread(target=loop_into, args=(writing, path, FRAMES // CLIP))
    writer.start()
    sizes = []
    with os.fdopen(reading, "rb", 0) as pipe:
        running = stream(scorer_with(size=56), open_source(piped(pipe, "looped clip")), Policy(batch=32))
        for result in running:
            if result.index % 1000 == 0 and result.index >= WARM_UP:
                sizes.append(resident())
            assert result.pts == pytest.approx(result.index / 25, abs=0.01)
    writer.join()
    assert running.end.read == FRAMES and len(sizes) == (FRAMES - WARM_UP) // 1000
    assert max(sizes) - sizes[0] < ALLOWED, [size >> 10 for size in sizes]
