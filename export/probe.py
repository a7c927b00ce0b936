"""Generated views under every degradation at every level: what exports are judged on, and calibrated on.

Judging and calibrating take different photographs and different noise, so that an int8 graph is not
judged on the very views that chose its scales. Equal arguments give equal views on every machine that has
the same libraries; two ways to score are always compared on views made once.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from crossiqa_edge.card import ModelCard
from crossiqa_edge.data.degradations import LEVELS, every
from crossiqa_edge.imaging.sampling import Views, sample
from crossiqa_edge.imaging.testpattern import photo_like

_PHOTOS = 8
_HEIGHT, _WIDTH = 288, 352
_JUDGING, _CALIBRATING = 0, 1000  # first seeds


def probe_views(card: ModelCard) -> Views:
    """Views to judge on, uint8 (N, S, S, 3) with N >= 200: first pristine, then every type and level."""
    return _views(card.view_size, card.sampling, _JUDGING)


def probe_names() -> tuple[str, ...]:
    """What each of ``probe_views`` is, for instance ``jpeg 3``."""
    degraded = [f"{kind.name} {level}" for kind in every() for level in range(1, LEVELS + 1)]
    return (*(f"pristine {index}" for index in range(_PHOTOS)), *degraded)


def calibration_views(card: ModelCard) -> Views:
    """As many views of other photographs, in an order that mixes types and levels."""
    views = _views(card.view_size, card.sampling, _CALIBRATING)
    mixed: Views = views[np.random.default_rng(0).permutation(len(views))]
    return mixed


@lru_cache(maxsize=4)
def _views(size: int, sampling: str, seed: int) -> Views:
    photos = [photo_like(seed + index, max(_HEIGHT, size), max(_WIDTH, size)) for index in range(_PHOTOS)]
    pictures = list(photos)
    for index, kind in enumerate(every()):
        photo = photos[index % _PHOTOS]
        pictures += [kind(photo, level, seed + index) for level in range(1, LEVELS + 1)]
    views = np.concatenate([sample(picture, sampling, size=size, views=1) for picture in pictures])
    views.setflags(write=False)
    return views
