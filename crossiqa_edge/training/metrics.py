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

try:
    from scipy import optimize, stats
except ImportError as error:  # pragma: no cover - the extra is absent
    raise MissingDependencyError("measuring against human opinion", "train") from error

Values = npt.NDArray[np.float64]  # (N,)

MIN_SAMPLES = 3
MIN_SAMPLES_FOR_LOGISTIC = 10  # two for each parameter; below, the curve would only trace the samples


@dataclass(frozen=True, slots=True)
class LogisticMap:
    """The five-parameter logistic of Sheikh, Sabir and Bovik (IEEE Trans. Image Processing 15(11), 2006).

    ``q(x) = b1 (1/2 - 1 / (1 + exp(b2 (x - b3)))) + b4 x + b5``; ``b1`` = 0 is the straight line.
    The sign of ``b2`` is that of the whole curve's slope, a line's included.
    """

    b1: float
    b2: float
    b3: float
    b4: float
    b5: float

    def __call__(self, predicted: npt.ArrayLike) -> Values:
        """Predictions carried over to the scale of the opinions, float64 of the same shape."""
        x = np.asarray(predicted, np.float64)
        # 1/2 - 1/(1 + exp z) is tanh(z/2)/2, which cannot overflow.
        mapped: Values = self.b1 / 2 * np.tanh(self.b2 * (x - self.b3) / 2) + self.b4 * x + self.b5
        return mapped


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
    """Pearson's correlation of the opinions with the predictions carried through ``fit_logistic``.

    Where the predictions run against the opinions the fitted curve falls, and the figure is negative:
    a curve must not turn a wrong order into a good score.
    """
    return _after_fit(*_pair(predicted, opinion))[0]


def rmse(predicted: npt.ArrayLike, opinion: npt.ArrayLike) -> float:
    """Root mean square error after ``fit_logistic``, over N, in the unit of the opinions."""
    return _after_fit(*_pair(predicted, opinion))[1]


def fit_logistic(predicted: npt.ArrayLike, opinion: npt.ArrayLike) -> LogisticMap:
    """The least-squares logistic from predictions to opinions, held monotone over its whole range.

    Its direction is that of the SRCC (rising where that is zero or NaN). The straight line takes its
    place with fewer than ``MIN_SAMPLES_FOR_LOGISTIC`` samples, and where no start of the optimiser
    converges to something better than the line.
    """
    x, y = _pair(predicted, opinion)
    if _degenerate(x, y):
        return LogisticMap(0.0, 0.0, 0.0, 0.0, float(y.mean()) if y.size else math.nan)
    # A negative unit turns falling samples round, so that only rising curves need fitting.
    x_mean, x_scale = x.mean(), -x.std() if srcc(x, y) < 0 else x.std()
    y_mean, y_scale = y.mean(), y.std()
    b1, b2, b3, b4, b5 = _fit_rising((x - x_mean) / x_scale, (y - y_mean) / y_scale)
    slope = b4 * y_scale / x_scale
    return LogisticMap(
        float(b1 * y_scale),
        float(b2 / x_scale),
        float(b3 * x_scale + x_mean),
        float(slope),
        float(b5 * y_scale + y_mean - slope * x_mean),
    )


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
    curve = fit_logistic(x, y)
    mapped = curve(x)
    error = float(np.sqrt(np.mean((mapped - y) ** 2)))
    if _degenerate(x, y):
        return (math.nan, error)
    if np.ptp(mapped) == 0:  # no monotone curve beats the mean
        return (0.0, error)
    return (math.copysign(_pearson(mapped, y), curve.b2), error)


def _fit_rising(x: Values, y: Values) -> Values:
    """b1..b5 of the best rising curve through standardised samples: b1, b2 and b4 are not negative."""
    line = np.array([0.0, 1.0, 0.0, max(float(x @ y) / x.size, 0.0), 0.0])
    if x.size < MIN_SAMPLES_FOR_LOGISTIC:
        return line

    def residuals(b: Values) -> Values:
        wrong: Values = b[0] / 2 * np.tanh(b[1] * (x - b[2]) / 2) + b[3] * x + b[4] - y
        return wrong

    def jacobian(b: Values) -> npt.NDArray[np.float64]:
        bend = np.tanh(b[1] * (x - b[2]) / 2)
        steepness = b[0] / 4 * (1 - bend**2)
        return np.stack([bend / 2, steepness * (x - b[2]), -steepness * b[1], x, np.ones_like(x)], axis=1)

    # In units of standard deviations: a bend anywhere among the samples, from all but straight to a step.
    bounds = ([0, 0.05, x.min(), 0, -20], [20, 100, x.max(), 20, 20])
    # Starts: the S over the bulk, a steep S, and the two halves of an S for scores that saturate at one end.
    starts = (
        [3, 1.7, 0, 0.01, 0],
        [2, 8, 0, 0.1, 0],
        [4, 1.7, x.min() / 2, 0.01, 0],
        [4, 1.7, x.max() / 2, 0.01, 0],
    )
    fits = [optimize.least_squares(residuals, start, jacobian, bounds, max_nfev=400) for start in starts]
    sound = [fit.x for fit in fits if fit.success]
    return min([line, *sound], key=lambda b: float(np.sum(residuals(b) ** 2)))
