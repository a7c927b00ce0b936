"""What video adds on the CPU: tiles gathered from planes, and the pooling of a clip's scores."""

import numpy as np

from crossiqa_edge.imaging.yuv import Planes, sample_planes
from crossiqa_edge.video.pooling import Pooling, Track, pool

_FPS = 30
_FRAMES = 10 * 60 * _FPS


def test_sample_planes(benchmark, frame):
    luma = np.ascontiguousarray(frame[..., 0])
    chroma = tuple(np.ascontiguousarray(frame[::2, ::2, channel]) for channel in (1, 2))
    planes = Planes(luma, chroma, matrix="bt709", full_range=False, depth=8, shift=0)
    assert benchmark(sample_planes, planes).shape == (1, 224, 224, 3)


def test_pool_ten_minutes(benchmark):
    scores = np.clip(60 + 10 * np.random.default_rng(0).standard_normal(_FRAMES), 0, 100)
    track = Track(np.arange(_FRAMES) / _FPS, scores, np.arange(_FRAMES) // 300, 1 / _FPS)
    assert 0 <= benchmark(pool, track, Pooling()).score <= 100
