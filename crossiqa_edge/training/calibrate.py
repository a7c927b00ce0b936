"""From the regression's own scale to 0..100, and how far to trust the result."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

Values = npt.NDArray[np.float64]

COVERAGE = 0.9


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


def sigmoid(values: Values) -> Values:
    """Logistic function, float64."""
    return 1.0 / (1.0 + np.exp(-values))
