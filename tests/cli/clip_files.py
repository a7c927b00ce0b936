"""Clips for the command line's tests, with scores that are known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crossiqa_edge.report.movie import Movie

HEIGHT, WIDTH, FPS = 64, 96, 25
_GRAIN = np.random.default_rng(0).integers(-30, 31, (HEIGHT // 4, WIDTH // 4)).repeat(4, 0).repeat(4, 1)


def write_clip(path: Path, levels: Sequence[int]) -> Path:
    """A frame a level: grey of that mean, with a grain that moves, so that it is neither flat nor frozen.

    The tiny model scores brightness, so a frame of level g gets about g / 2.55; a level of 0 is black.
    """
    with path.open("wb") as stream, Movie(stream, FPS) as movie:
        for place, level in enumerate(levels):
            grain = np.roll(_GRAIN, 8 * place, axis=1) if level else 0
            grey = np.clip(np.full((HEIGHT, WIDTH), level) + grain, 0, 255).astype(np.uint8)
            movie.write(np.repeat(grey[..., None], 3, axis=2), place / FPS)
    return path
