"""Tiny clips that the tests encode themselves, and a scorer whose scores are known beforehand."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np

from crossiqa_edge.card import ModelCard
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.runtime.scorer import Scorer

HEIGHT, WIDTH, FPS = 96, 128, 25


def moving(count, height=HEIGHT, width=WIDTH, seed=1):
    """``count`` frames, uint8 (H, W, 3), of a view that circles over a picture."""
    reach = 16
    picture = photo_like(seed, height + 2 * reach, width + 2 * reach)
    for index in range(count):
        angle = 2 * np.pi * index / 24
        top, left = round(reach * (1 + np.sin(angle))), round(reach * (1 + np.cos(angle)))
        yield np.ascontiguousarray(picture[top : top + height, left : left + width])


def encode(
    path,
    frames,
    *,
    codec="libx264",
    layout="yuv420p",
    stamps=None,
    options=None,
    colour=None,
    rotation=0,
    form=None,
    faststart=False,
    fps=FPS,
):
    """Write ``frames`` as a clip and return its path.

    Args:
        frames: RGB arrays, or FFmpeg frames, which are encoded as they are.
        stamps: presentation times in ticks of 1 / 1000 s; by default one frame follows the other.
        colour: (AVColorSpace, AVColorRange) to declare.
        rotation: degrees counter-clockwise, as metadata.
    """
    index_first = {"movflags": "faststart"} if faststart else {}
    tick = Fraction(1, 1000) if stamps else Fraction(1, fps)
    with av.open(str(path), "w", format=form, options=index_first) as container:
        stream = None
        for index, frame in enumerate(frames):
            if isinstance(frame, np.ndarray):
                frame = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=layout)
            if stream is None:
                stream = container.add_stream(codec, rate=fps)
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, layout
                stream.codec_context.time_base = tick
                stream.options = {"threads": "1", **_FAST.get(codec, {}), **(options or {})}
                if colour:
                    stream.codec_context.colorspace, stream.codec_context.color_range = colour
                if rotation:
                    stream.set_display_rotation(rotation)
            frame.time_base, frame.pts = tick, stamps[index] if stamps else index
            frame.pict_type = 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


_FAST = {
    "libx264": {"preset": "ultrafast", "bf": "2", "g": "12", "crf": "12"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=none"},
}


class BrightnessBackend:
    """A model whose score is the mean byte of a view / 255 * 100, as that of ``tiny_graph``."""

    name = device = precision = reason = describe = "test"

    def __init__(self):
        self.batches = []

    def infer(self, views):
        self.batches.append(len(views))
        return views.mean(axis=(1, 2, 3), dtype=np.float64).astype(np.float32) / np.float32(2.55)

    def close(self):
        pass


def scorer_with(backend=None, *, size=224, sampling="fragments", views=1):
    """A real ``Scorer`` over a made-up backend."""
    card = ModelCard("test", "nano", view_size=size, sampling=sampling, interval_half_width=5.0)
    return Scorer(SimpleNamespace(card=card), backend or BrightnessBackend(), sampling, views, 10**9)
