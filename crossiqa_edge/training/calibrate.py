"""From the regression's own scale to 0..100, how far to trust the result, and how usual it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

Values = npt.NDArray[np.float64]

COVERAGE = 0.9
MOST_REGIONS = 5
LEAST_OF_REGION = 100  # pictures: the coverage of a region then varies by some 3 % from sample to sample
QUANTILES = 101
_HALVINGS = 100


def fit_calibration(raw: Values, opinions: Values, weights: Values) -> tuple[float, float]:
    """(slope, offset) for which ``sigmoid(slope * raw + offset)`` is nearest to the opinions.

    Weighted least squares; the slope is kept positive, so that ranks never change.

    Args:
        raw: regression outputs, (N,).
        opinions: human scores on 0..1, (N,).
        weights: of each, (N,); give every set the same sum so that a large one does not rule.
    """
    root = np.sqrt(weights)

    def residuals(parameters: Values) -> Values:
        slope, offset = np.exp(parameters[0]), parameters[1]
        return root * (sigmoid(slope * raw + offset) - opinions)

    fit = least_squares(residuals, x0=[np.log(4.0), -2.0])
    return float(np.exp(fit.x[0])), float(fit.x[1])


def interval_half_width(predicted: Values, opinions: Values, coverage: float = COVERAGE) -> float:
    """Half width that holds a share of ``coverage`` of the opinions, by split conformal prediction.

    The smallest width that is at least as large as ``ceil((n + 1) * coverage)`` of the n residuals
    (Lei et al., JASA 2018); the largest residual where n is too small for that.
    """
    residuals = np.sort(np.abs(predicted - opinions))
    rank = int(np.ceil((len(residuals) + 1) * coverage))
    return float(residuals[min(rank, len(residuals)) - 1])


@dataclass(frozen=True)
class Intervals:
    """Half widths by region of the predicted score.

    Opinion scatters more in the middle of the scale than at its ends, so one width for all is too wide
    there and too narrow here. Split conformal prediction within each region keeps its promise in each
    (Mondrian conformal prediction: Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World",
    2005, section 4.5).

    Attributes:
        overall: the half width of all regions together.
        half_widths: one a region, from the lowest score.
        edges: scores at which the next region begins.
    """

    overall: float
    half_widths: tuple[float, ...]
    edges: tuple[float, ...]

    @classmethod
    def fit(cls, predicted: Values, opinions: Values, coverage: float = COVERAGE) -> Intervals:
        """From scores and opinions, 0..100, (N,) each, of pictures that had no part in training.

        Regions hold equally many pictures, ``LEAST_OF_REGION`` at least, and are ``MOST_REGIONS`` at most.
        """
        count = min(max(len(predicted) // LEAST_OF_REGION, 1), MOST_REGIONS)
        edges = tuple(_rounded(np.quantile(predicted, np.arange(1, count) / count)))
        region = np.searchsorted(edges, predicted, side="right")
        overall = interval_half_width(predicted, opinions, coverage)
        half_widths = [
            interval_half_width(predicted[region == index], opinions[region == index], coverage)
            if (region == index).any()  # many equal scores leave a region empty
            else overall
            for index in range(count)
        ]
        return cls(overall, tuple(map(_rounded_up, half_widths)), edges)

    def cover(self, predicted: Values, opinions: Values) -> npt.NDArray[np.bool_]:
        """Whether each opinion lies inside the interval around its score, (N,)."""
        widths = np.array(self.half_widths)[np.searchsorted(self.edges, predicted, side="right")]
        return np.asarray(np.abs(predicted - opinions) <= widths)

    def card_values(self) -> dict[str, Any]:
        """What a ``ModelCard`` keeps of them, for ``dataclasses.replace``."""
        return {
            "interval_half_width": _rounded_up(self.overall),
            "interval_half_widths": self.half_widths,
            "interval_edges": self.edges,
        }


def held_out_coverage(predicted: Values, opinions: Values, *, seed: int = 0) -> Values:
    """How often each opinion lay inside intervals that were fitted without it, 0..1, (N,).

    The pictures are halved at random many times; each half is measured with the intervals of the other.
    The mean over all pictures, over a set or over a region is the coverage to expect on new ones like
    them. Halves have fewer pictures, and so perhaps fewer regions, than all. NaN of a single picture.
    """
    if len(predicted) < 2:
        return np.full(len(predicted), np.nan)
    generator = np.random.default_rng(seed)
    inside, times = np.zeros(len(predicted)), np.zeros(len(predicted))
    for _ in range(_HALVINGS):
        order = generator.permutation(len(predicted))
        first, second = np.array_split(order, 2)
        for fitted, measured in ((first, second), (second, first)):
            found = Intervals.fit(predicted[fitted], opinions[fitted])
            inside[measured] += found.cover(predicted[measured], opinions[measured])
            times[measured] += 1
    return inside / times


def reference_quantiles(scores: npt.ArrayLike) -> tuple[float, ...]:
    """``QUANTILES`` scores at evenly spaced shares, the lowest first: a card's ``reference_scores``.

    Args:
        scores: what the model gave to each picture of the reference set, 0..100, (N,).
    """
    return tuple(_rounded(np.quantile(np.asarray(scores, np.float64), np.linspace(0, 1, QUANTILES))))


def _rounded_up(value: float) -> float:
    """To two decimals, so that what decided the width stays inside."""
    return math.ceil(100 * value) / 100


def _rounded(values: Values) -> list[float]:
    rounded: list[float] = np.round(values, 2).tolist()
    return rounded


def sigmoid(values: Values) -> Values:
    """Logistic function, float64."""
    return 1.0 / (1.0 + np.exp(-values))
