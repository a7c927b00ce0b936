"""The fitted curve recovers what made the data, is monotone, and is never worse than a line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("scipy", reason="measuring needs the train extra")

from crossiqa_edge.training.logistic import LogisticMap, fit_logistic
from crossiqa_edge.training.metrics import plcc, rmse, srcc

curves = st.builds(
    LogisticMap,
    b1=st.floats(0.2, 20),
    b2=st.floats(0.3, 6),
    b3=st.floats(-1.5, 1.5),
    b4=st.floats(0, 2),
    b5=st.floats(-5, 5),
)


@settings(max_examples=15)
@given(curves, st.sampled_from([1e-3, 1.0, 250.0]), st.booleans())
def test_fit_recovers_any_logistic(curve: LogisticMap, unit: float, falling: bool) -> None:
    x = np.linspace(-2, 2, 60)
    y = curve(x)
    scores = unit * (-x if falling else x) + 7 * unit
    assert plcc(scores, y) == pytest.approx(-1 if falling else 1, abs=1e-4)
    assert rmse(scores, y) < 0.01 * np.ptp(y)


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.integers(3, 80), st.floats(0, 3))
def test_fit_is_monotone_and_no_worse_than_a_line(seed: int, n: int, noise: float) -> None:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=n)
    y = np.tanh(2 * x) + noise * generator.normal(size=n)
    direction = -1 if srcc(x, y) < 0 else 1
    mapped = direction * fit_logistic(x, y, falling=direction < 0)(np.linspace(x.min(), x.max(), 500))
    assert (np.diff(mapped) >= -1e-9).all()
    linear = np.corrcoef(x, y)[0, 1]
    if direction * linear > 0:
        assert abs(plcc(x, y)) >= abs(linear) - 1e-9
        assert rmse(x, y) <= np.std(y - np.polyval(np.polyfit(x, y, 1), x)) + 1e-9


def test_a_line_serves_below_ten_samples() -> None:
    x, y = (
        np.array([1.0, 2, 3, 4, 5]),
        np.array([0.0, 0, 0, 1, 1]),
    )  # five parameters would go through all five samples
    assert plcc(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-12)
    assert fit_logistic(x, y)([1, 5]) == pytest.approx([-0.2, 1.0], abs=1e-12)  # y = 0.3 x - 0.5


def test_constant_predictions_map_to_the_mean_opinion() -> None:
    curve = fit_logistic(np.full(20, 3.0), np.arange(20.0))
    assert curve([-100, 3, 100]) == pytest.approx([9.5] * 3)


@pytest.mark.filterwarnings("error")
def test_no_score_overflows() -> None:
    curve = fit_logistic(np.linspace(-1e6, 1e6, 50), np.repeat([0.0, 1.0], 25))
    assert np.isfinite(curve([-1e12, 0, 1e12])).all()
