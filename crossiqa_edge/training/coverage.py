"""Do the intervals of a model's card hold what they promise on a set of opinions?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossiqa_edge.card import ModelCard
from crossiqa_edge.training.calibrate import COVERAGE

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RegionCoverage:
    """One region of the score, ``low`` to below ``high``: pictures there, and how many were covered."""

    low: float
    high: float
    n: int
    covered: int

    @property
    def share(self) -> float | None:
        """Of the pictures whose opinion lay inside the interval; None without pictures."""
        return self.covered / self.n if self.n else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {"from": self.low, "to": self.high, "n": self.n, "coverage": _json(self.share)}


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many opinions lay inside the intervals, by region of the score.

    Attributes:
        regions: those of the card, from the lowest; the single one from 0 to 100 where it has no edges.
        mean_width: of the intervals, in points of 0..100, after they were cut at both ends.
    """

    regions: tuple[RegionCoverage, ...]
    mean_width: float

    @classmethod
    def of(cls, card: ModelCard, predicted: Values, opinions: Values) -> Coverage | None:
        """Of scores and opinions, 0..100, (N,) each; None where the card has no interval or N is 0."""
        intervals = [card.interval(float(score)) for score in predicted]
        known = [interval for interval in intervals if interval is not None]
        if not known:
            return None
        low, high = np.array(known).T
        inside = (low <= opinions) & (opinions <= high)
        edges = card.interval_edges
        region = np.searchsorted(edges, predicted, side="right")
        bounds = zip((0.0, *edges), (*edges, 100.0), strict=True)
        regions = tuple(
            RegionCoverage(start, end, int((region == index).sum()), int(inside[region == index].sum()))
            for index, (start, end) in enumerate(bounds)
        )
        return cls(regions, float(np.mean(high - low)))

    @classmethod
    def pooled(cls, parts: Sequence[Coverage]) -> Coverage:
        """All pictures of several sets together; the parts are of one card."""
        regions = tuple(
            RegionCoverage(same[0].low, same[0].high, sum(x.n for x in same), sum(x.covered for x in same))
            for same in zip(*(part.regions for part in parts), strict=True)
        )
        return cls(regions, float(np.average([p.mean_width for p in parts], weights=[p.n for p in parts])))

    @property
    def n(self) -> int:
        """Number of pictures."""
        return sum(region.n for region in self.regions)

    @property
    def share(self) -> float:
        """Of all pictures, those whose opinion lay inside the interval."""
        return sum(region.covered for region in self.regions) / self.n

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "nominal": COVERAGE,
            "n": self.n,
            "coverage": round(self.share, 4),
            "mean_width": round(self.mean_width, 2),
            "by_region": [region.to_dict() for region in self.regions],
        }

    def __str__(self) -> str:
        text = (
            f"interval coverage {self.share:.1%} of {self.n} (nominal {COVERAGE:.0%}), "
            f"intervals {self.mean_width:.0f} points wide on average"
        )
        if len(self.regions) == 1:
            return text
        parts = [f"{r.low:.0f} to {r.high:.0f}: {r.share:.0%}" for r in self.regions if r.share is not None]
        return f"{text}; by score {', '.join(parts)}"


def _json(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
