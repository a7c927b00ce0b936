"""How well predictions agree with human opinion: the field's figures, each defined in one place.

Everywhere ``predicted`` and ``opinion`` are float (N,), higher is better, on any scale. A figure that
does not exist is NaN: all of them below ``MIN_SAMPLES`` samples, the correlations where either side is
constant. Values that are not finite are an error, never silently dropped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from crossiqa_edge.errors import InputError, MissingDependencyError
from crossiqa_edge.training.logistic import fit_logistic

try:
    from scipy import stats
except ImportError as error:
    raise MissingDependencyError("measuring against human opinion", "train") from error

Values = npt.NDArray[np.float64]  # (N,)

MIN_SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Agreement:
    """The figures of one group of samples.

    Attributes:
        n: number of samples.
        srcc: Spearman's rank correlation.
        interval: 95 % interval of ``srcc``, see ``srcc_interval``.
        plcc: Pearson's correlation after the logistic fit.
        krcc: Kendall's tau-b.
        rmse: root mean square error after the logistic fit, in the unit of the opinions.
    """

    n: int
    srcc: float
    interval: tuple[float, float]
    plcc: float
    krcc: float
    rmse: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values to four decimals; a figure that does not exist is None."""
        return {
            "n": self.n,
            "srcc": json_number(self.srcc),
            "srcc_interval_95": [json_number(edge) for edge in self.interval],
            "plcc": json_number(self.plcc),
            "krcc": json_number(self.krcc),
            "rmse": json_number(self.rmse),
        }


@dataclass(frozen=True, slots=True)
class LevelOrder:
    """How often predictions fall as a degradation grows; equal predictions count as wrong.

    Attributes:
        series: number of series, each one picture under one degradation at growing levels.
        series_right: those in perfect order.
        pairs, pairs_right: any two levels of a series.
        triples, triples_right: any three levels of a series.
    """

    series: int = 0
    series_right: int = 0
    pairs: int = 0
    pairs_right: int = 0
    triples: int = 0
    triples_right: int = 0

    def __add__(self, other: LevelOrder) -> LevelOrder:
        return LevelOrder(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def to_dict(self) -> dict[str, Any]:
        """Counts and shares, JSON-ready; a share of nothing is None."""
        return {
            "series": self.series,
            "series_in_order": _share(self.series_right, self.series),
            "pairs_in_order": _share(self.pairs_right, self.pairs),
            "triples_in_order": _share(self.triples_right, self.triples),
        }


def agreement(predicted: npt.ArrayLike, opinion: npt.ArrayLike) -> Agreement:
    """All figures of one group.

    Raises:
        InputError: the two are not 1-D of equal length, or a value is not finite.
    """
    x, y = _pair(predicted, opinion)
    rank = srcc(x, y)
    plcc, rmse = _after_fit(x, y)
    return Agreement(x.size, rank, srcc_interval(rank, x.size), plcc, krcc(x, y), rmse)


def median_agreement(parts: Sequence[Agreement]) -> Agreement:
    """Figure by figure the median over ``parts``; parts without the figure (NaN) do not count.

    The interval is that of the median SRCC at the median number of samples.
    """

    def median(name: str) -> float:
        values = [value for part in parts if not math.isnan(value := getattr(part, name))]
        return float(np.median(values)) if values else math.nan

    n, rank = int(median("n")), median("srcc")
    return Agreement(n, rank, srcc_interval(rank, n), median("plcc"), median("krcc"), median("rmse"))


def srcc(predicted: npt.ArrayLike, opinion: npt.ArrayLike) -> float:
    """Spearman's rank correlation, -1..1, ties given their mean rank."""
    x, y = _pair(predicted, opinion)
    return _pearson(stats.rankdata(x), stats.rankdata(y))


def krcc(predicted: npt.ArrayLike, opinion: npt.ArrayLike) -> float:
    """Kendall's tau-b, -1..1, corrected for ties."""
    x, y = _pair(predicted, opinion)
    return math.nan if _degenerate(x, y) else float(stats.kendalltau(x, y, variant="b").statistic)


def plcc(predicted: npt.ArrayLike, opinion: npt.ArrayLike) -> float:
    """Pearson's correlation of the opinions with the predictions after ``logistic.fit_logistic``.

    Where the predictions run against the opinions the fitted curve falls, and the figure is negative:
    a curve must not turn a wrong order into a good score.
    """
    return _after_fit(*_pair(predicted, opinion))[0]


def rmse(predicted: npt.ArrayLike, opinion: npt.ArrayLike) -> float:
    """Root mean square error after ``logistic.fit_logistic``, over N, in the unit of the opinions."""
    return _after_fit(*_pair(predicted, opinion))[1]


def srcc_interval(rank: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a Spearman correlation by Fisher's z with the variance (1 + r²/2) / (n - 3).

    The variance is that of Bonett and Wright (Psychometrika 65, 2000). It takes the samples as
    independent: many versions of few pictures are not, and their true interval is wider. NaN below four
    samples; at a perfect correlation the interval is a point.
    """
    if n < 4 or math.isnan(rank):
        return (math.nan, math.nan)
    if abs(rank) >= 1:
        return (rank, rank)
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt((1 + rank**2 / 2) / (n - 3))
    return (math.tanh(math.atanh(rank) - reach), math.tanh(math.atanh(rank) + reach))


def level_order(series: Iterable[Sequence[float]]) -> LevelOrder:
    """Order within series of predictions, each given from the mildest level to the severest."""
    total = LevelOrder()
    for values in series:
        pairs = [a > b for a, b in combinations(values, 2)]
        triples = [a > b > c for a, b, c in combinations(values, 3)]
        total += LevelOrder(1, all(pairs), len(pairs), sum(pairs), len(triples), sum(triples))
    return total


def json_number(value: float) -> float | None:
    """``value`` to four decimals; None for NaN, which JSON has not."""
    return None if math.isnan(value) else round(value, 4)


def _share(right: int, total: int) -> float | None:
    return round(right / total, 4) if total else None


def _pair(predicted: npt.ArrayLike, opinion: npt.ArrayLike) -> tuple[Values, Values]:
    x, y = np.asarray(predicted, np.float64), np.asarray(opinion, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise InputError(f"predictions {x.shape} and opinions {y.shape} must be 1-D and of equal length")
    for name, values in (("predictions", x), ("opinions", y)):
        if bad := int((~np.isfinite(values)).sum()):
            raise InputError(f"{bad} of {values.size} {name} are not finite; leave those samples out")
    return x, y


def _degenerate(x: Values, y: Values) -> bool:
    """Whether no correlation exists: too few samples, or a side that is constant to machine precision."""
    return x.size < MIN_SAMPLES or any(np.ptp(side) == 0 or side.std() == 0 for side in (x, y))


def _pearson(x: Values, y: Values) -> float:
    if _degenerate(x, y):
        return math.nan
    x, y = x - x.mean(), y - y.mean()
    return float(np.clip(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)), -1, 1))


def _after_fit(x: Values, y: Values) -> tuple[float, float]:
    """(PLCC, RMSE) after the logistic fit."""
    if x.size < MIN_SAMPLES:
        return (math.nan, math.nan)
    curve = fit_logistic(x, y, falling=srcc(x, y) < 0)
    mapped = curve(x)
    error = float(np.sqrt(np.mean((mapped - y) ** 2)))
    if _degenerate(x, y):
        return (math.nan, error)
    if np.ptp(mapped) == 0:  # no monotone curve beats the mean
        return (0.0, error)
    return (math.copysign(_pearson(mapped, y), curve.b2), error)
