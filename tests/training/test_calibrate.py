import numpy as np
import pytest

from crossiqa_edge.training.calibrate import fit_calibration, interval_half_width, sigmoid


def test_finds_the_curve_that_made_the_data(generator):
    raw = generator.random(300)
    slope, offset = fit_calibration(raw, sigmoid(5.0 * raw - 2.0), np.ones(300))
    assert (slope, offset) == (pytest.approx(5.0, rel=1e-3), pytest.approx(-2.0, rel=1e-3))


def test_slope_stays_positive_on_hopeless_data(generator):
    raw = generator.random(100)
    slope, _ = fit_calibration(raw, 1.0 - raw, np.ones(100))
    assert slope > 0


def test_weights_decide_between_contradicting_sets():
    raw = np.tile(np.linspace(0, 1, 50), 2)
    opinions = np.concatenate([sigmoid(4 * raw[:50] - 2), sigmoid(4 * raw[50:] - 1)])
    heavy = np.concatenate([np.full(50, 1000.0), np.ones(50)])
    assert fit_calibration(raw, opinions, heavy)[1] == pytest.approx(-2.0, abs=0.02)


def test_interval_covers_fresh_data_as_promised(generator):
    covered = []
    for _ in range(300):
        residuals = generator.normal(size=80)
        width = interval_half_width(np.zeros(79), residuals[:79])
        covered.append(abs(residuals[79]) <= width)
    assert np.mean(covered) == pytest.approx(0.9, abs=0.06)


def test_interval_of_few_pictures_is_their_largest_residual():
    assert interval_half_width(np.zeros(3), np.array([1.0, -5.0, 2.0])) == 5.0
