"""On which scale opinions are that come without a word about it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from crossiqa_edge.errors import ConfigError

# (worst, best), the narrowest first.
USUAL = (0.0, 100.0)
SCALES = ((0.0, 1.0), (1.0, 5.0), (0.0, 5.0), (0.0, 10.0), USUAL)


def likely_scale(opinions: Iterable[float]) -> tuple[float, float] | None:
    """The narrowest of ``SCALES`` that holds all ``opinions``; None where none does, or there are none."""
    held = tuple(opinions)
    if not held:
        return None
    low, high = min(held), max(held)
    return next((scale for scale in SCALES if scale[0] <= low and high <= scale[1]), None)


def check_scale(scale: Sequence[float]) -> None:
    """ConfigError unless ``scale`` is (worst, best): two finite numbers that are not the same."""
    if len(scale) != 2 or scale[0] == scale[1] or not all(map(math.isfinite, scale)):
        told = ",".join(f"{edge:g}" for edge in scale)
        raise ConfigError(
            f"scale {told} is no range; give WORST,BEST, two finite numbers that are not the same"
        )


def taken_as(scale: tuple[float, float]) -> str:
    """What a person is told about a scale that was guessed."""
    return f"opinions are taken as on a scale from {scale[0]:g} (worst) to {scale[1]:g} (best)"
