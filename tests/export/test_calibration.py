"""Three ways to find how far int8 should reach, on histograms whose answer is known."""

import numpy as np
import pytest

from crossiqa_edge.export.calibration import BINS, METHODS, PERCENTILE, STEPS


def histogram(values):
    return np.histogram(np.abs(values), BINS, (0, np.abs(values).max()))[0].astype(float)


def gaussian_with_outlier(outlier):
    values = np.random.default_rng(0).standard_normal(200_000)
    values[0] = outlier
    return values


@pytest.mark.parametrize(
    "method", ["percentile", "entropy"]
)  # to MSE a single outlier may be worth its steps
def test_one_far_outlier_is_clipped(method):
    values = gaussian_with_outlier(60)
    reach = 60 * METHODS[method](histogram(values)) / BINS
    assert 2.5 < reach < 12  # 200,000 normal values reach to about 4.5


@pytest.mark.parametrize("method", METHODS)
def test_values_without_a_tail_are_not_clipped(method):
    uniform = np.linspace(-1, 1, 200_001)
    assert METHODS[method](histogram(uniform)) > 0.97 * BINS


def test_percentile_is_its_share():
    counts = np.zeros(BINS)
    counts[:10] = 1e6
    counts[1000] = 1e7 * (1 - PERCENTILE / 100) / 2  # half of what may be clipped
    assert METHODS["percentile"](counts) == 10


def test_mse_is_the_best_there_is():
    """Against brute force over thresholds, on the values themselves rather than their histogram."""
    values = np.random.default_rng(1).laplace(size=100_000)

    def cost(reach):
        step = reach / STEPS
        return np.mean((values - np.clip(np.rint(values / step), -STEPS, STEPS) * step) ** 2)

    found = np.abs(values).max() * METHODS["mse"](histogram(values)) / BINS
    best = min(cost(reach) for reach in np.linspace(2, np.abs(values).max(), 300))
    assert cost(found) < 1.02 * best
