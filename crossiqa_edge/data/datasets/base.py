"""What every data set becomes: samples with one score convention, whatever its release looked like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from crossiqa_edge.imaging.sampling import Frame

Band = Literal["low", "high", "mixed"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture with the opinion people had of it.

    Attributes:
        key: unique within its set.
        score: opinion on 0..1, higher is better, whatever the release's own scale.
        reference: identity of the pristine content; splits never part samples that share it. A picture
            with authentic distortions is its own reference.
        load: reads or makes the picture, uint8 (H, W, 3) RGB; may raise InputError.
        distortion: name of the distortion type, None where unknown or authentic.
        level: severity from 1, the mildest, to 5 (or what the set has); None where unknown.
        band: frequency group of the distortion, None where unknown.
    """

    key: str
    score: float
    reference: str
    load: Callable[[], Frame]
    distortion: str | None = None
    level: int | None = None
    band: Band | None = None


@dataclass(frozen=True)
class QualitySet:
    """A named set of samples.

    Attributes:
        name: the name that results carry, for instance ``TID2013-Kodak (rebuilt)``.
        samples: in a fixed order.
        native_range: (worst, best) of the release's own scale, in that order: DMOS sets run downwards.
    """

    name: str
    samples: tuple[Sample, ...]
    native_range: tuple[float, float]

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def scores(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Opinions, float64 (N,), on 0..1."""
        return np.array([sample.score for sample in self.samples], np.float64)

    def where(self, keep: Callable[[Sample], bool], name: str | None = None) -> QualitySet:
        """The subset for which ``keep`` holds."""
        return QualitySet(name or self.name, tuple(filter(keep, self.samples)), self.native_range)
