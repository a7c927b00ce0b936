"""The logistic that carries predictions over to the scale of opinions before they are compared linearly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]  # (N,)

MIN_SAMPLES = 10  # two for each parameter; with fewer the curve would only trace the samples


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


def fit_logistic(predicted: Values, opinion: Values, *, falling: bool = False) -> LogisticMap:
    """The least-squares logistic from predictions to opinions, held monotone over its whole range.

    Args:
        predicted, opinion: finite float64 (N,). With fewer than ``MIN_SAMPLES`` the curve is the straight
            line; where all predictions or all opinions are equal it is the mean opinion.
        falling: whether the curve falls, which is to be asked of the ranks and not of the fit.
    """
    x_mean, x_scale = predicted.mean(), -predicted.std() if falling else predicted.std()
    y_mean, y_scale = opinion.mean(), opinion.std()
    if x_scale == 0 or y_scale == 0:
        return LogisticMap(0.0, 0.0, 0.0, 0.0, float(y_mean))
    # A negative unit turns falling samples round, so that only rising curves need fitting.
    b1, b2, b3, b4, b5 = _fit_rising((predicted - x_mean) / x_scale, (opinion - y_mean) / y_scale)
    slope = b4 * y_scale / x_scale
    return LogisticMap(
        float(b1 * y_scale),
        float(b2 / x_scale),
        float(b3 * x_scale + x_mean),
        float(slope),
        float(b5 * y_scale + y_mean - slope * x_mean),
    )


def _fit_rising(x: Values, y: Values) -> Values:
    """b1..b5 of the best rising curve through standardised samples: b1, b2 and b4 are not negative.

    For a given steepness b2 and bend b3 the rest is linear, so only a plane is left to be searched. A
    grid that closes in on its best point needs no start values and cannot fail to converge.
    """
    if x.size < MIN_SAMPLES:
        return np.array([0.0, 1.0, 0.0, max(float(x @ y) / x.size, 0.0), 0.0])
    # log b2 from all but straight to all but a step, per standard deviation; b3 anywhere among the samples.
    low, high = np.array([math.log(0.05), x.min()]), np.array([math.log(20.0), x.max()])
    best, reach = (low + high) / 2, (high - low) / 2
    steps = np.linspace(-1, 1, 9)
    directions = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    curve = np.zeros(5)
    for _ in range(12):
        grid = np.clip(best + reach * directions, low, high)
        curve = _best_on_grid(x, y, np.exp(grid[:, 0]), grid[:, 1])
        best, reach = np.array([math.log(curve[1]), curve[2]]), reach / 2
    return curve


def _best_on_grid(x: Values, y: Values, b2: Values, b3: Values) -> Values:
    """b1..b5 of the least squares over the pairs (b2, b3), b1 and b4 not negative; x and y standardised."""
    bend = np.tanh(b2[:, None] * (x - b3[:, None]) / 2) / 2
    mean = bend.mean(axis=1)
    bend -= mean[:, None]
    # Normal equations of y on the bend and the line, both centred, for all pairs at once.
    tt, tx, ty = np.maximum((bend**2).sum(axis=1), 1e-12), bend @ x, bend @ y
    xx, xy = float(x @ x), float(x @ y)
    determinant = np.maximum(tt * xx - tx**2, 1e-12)
    b1, b4 = (ty * xx - xy * tx) / determinant, (xy * tt - ty * tx) / determinant
    # Where one would be negative it is zero, and the other is fitted alone: whichever explains more.
    outside = (b1 < 0) | (b4 < 0)
    bend_alone, line_alone = np.maximum(ty, 0) / tt, max(xy, 0.0) / xx
    bent = bend_alone * ty > line_alone * xy
    b1 = np.where(outside, np.where(bent, bend_alone, 0.0), b1)
    b4 = np.where(outside, np.where(bent, 0.0, line_alone), b4)
    explained = 2 * (b1 * ty + b4 * xy) - (b1**2 * tt + 2 * b1 * b4 * tx + b4**2 * xx)
    k = int(explained.argmax())
    return np.array([b1[k], b2[k], b3[k], b4[k], -b1[k] * mean[k]])
