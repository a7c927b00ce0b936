"""Does an exported graph give the scores of the network it was made from? Measured, not assumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from crossiqa_edge.card import ModelCard
from crossiqa_edge.data.degradations import LEVELS, get
from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.imaging.sampling import Views, sample
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.runtime.backend import Scores
from crossiqa_edge.training.metrics import krcc, srcc

BATCHES = (1, 2, 5)  # one, the least that is more than one, and an odd one
# Largest difference allowed, on the scale of score / 100. Float32 sums in another order move the score
# of a depth-12 network by about 1e-6; a wrong constant or a missing layer moves it by more than 1e-2.
TOLERANCE = 1e-4

_PHOTOS = 2
_TYPES = ("gaussian_blur", "jpeg", "white_noise")  # blur, blocking and noise fill the range of scores


@dataclass(frozen=True, slots=True)
class Verification:
    """How near two runs of the same network came.

    Attributes:
        views: number of views compared.
        max_difference, mean_difference: of the scores, in points of 0..100.
        srcc, krcc: rank agreement of the scores, NaN where all scores are equal.
    """

    views: int
    max_difference: float
    mean_difference: float
    srcc: float
    krcc: float

    def __str__(self) -> str:
        return (
            f"{self.views} views in batches of {', '.join(map(str, BATCHES))}: scores differ by at most "
            f"{self.max_difference:.2g} of 100 points, SRCC {self.srcc:.4f}, KRCC {self.krcc:.4f}"
        )


def verify(
    candidate: Callable[[Views], Scores],
    reference: Callable[[Views], Scores],
    card: ModelCard,
    *,
    tolerance: float = TOLERANCE,
) -> Verification:
    """Compare two ways to score on ``verification_views``, in batches of ``BATCHES``.

    Args:
        candidate: the new way: uint8 (V, S, S, 3) -> float32 (V,), 0..100.
        reference: the way it must agree with, the same types.
        card: gives size and sampling of the views.
        tolerance: largest difference allowed on the scale of score / 100.

    Raises:
        ArtefactError: a difference beyond ``tolerance``, or a score that is not finite.
    """
    views = verification_views(card)
    expected = reference(views).astype(np.float64)
    given = np.concatenate([candidate(batch) for batch in _batches(views)]).astype(np.float64)
    difference = np.abs(given - expected)
    if not difference.max() <= 100 * tolerance:  # also where it is NaN
        raise ArtefactError(
            f"{card.name}: the exported graph's scores differ by {difference.max():.3g} points from the "
            f"network's, allowed are {100 * tolerance:g}; nothing was written"
        )
    return Verification(
        views=len(views),
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        srcc=srcc(given, expected),
        krcc=krcc(given, expected),
    )


def verification_views(card: ModelCard) -> Views:
    """uint8 (32, S, S, 3): made-up photographs, pristine and under blur, JPEG and noise at every level."""
    pictures = []
    for seed in range(_PHOTOS):
        photo = photo_like(seed, 320, 480)
        pictures.append(photo)
        for name in _TYPES:
            pictures += [get(name)(photo, level, seed) for level in range(1, LEVELS + 1)]
    return np.concatenate(
        [sample(picture, card.sampling, size=card.view_size, crops=1) for picture in pictures]
    )


def _batches(views: Views) -> Iterator[Views]:
    start = 0
    for size in cycle(BATCHES):
        if start >= len(views):
            return
        yield views[start : start + size]
        start += size
