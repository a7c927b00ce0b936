"""Resampled rank correlations against scipy's on the resamples written out."""

import math

import numpy as np
import pytest

pytest.importorskip("scipy", reason="measuring needs the train extra")

from scipy import stats

from crossiqa_edge.training.bootstrap import interval, resampled_srcc, resamples

REFERENCES = [f"picture {index // 5}" for index in range(40)]


@pytest.fixture
def samples(generator):
    """Predictions with ties, and noisy opinions."""
    predicted = generator.integers(0, 9, 40).astype(float)
    return predicted, predicted + generator.normal(0, 3, 40)


def test_a_resample_is_what_scipy_says_of_it_written_out(samples):
    predicted, opinion = samples
    counts = resamples(REFERENCES, rounds=20)
    for found, row in zip(resampled_srcc(predicted, opinion, counts), counts, strict=True):
        drawn = np.repeat(np.arange(40), row)
        assert found == pytest.approx(stats.spearmanr(predicted[drawn], opinion[drawn]).statistic, abs=1e-12)


def test_references_are_drawn_whole_and_as_many_as_there_are():
    counts = resamples(REFERENCES, rounds=50).reshape(50, 8, 5)
    assert (counts == counts[:, :, :1]).all()
    assert (counts[:, :, 0].sum(axis=1) == 8).all()
    assert counts.max() > 1
    assert (resamples(REFERENCES, seed=1) != resamples(REFERENCES, seed=2)).any()


def test_copies_of_few_pictures_make_no_narrower_interval(samples):
    """Ten copies of each sample tell nothing new: drawn by reference, the interval stays as wide."""
    predicted, opinion = (np.repeat(side, 10) for side in samples)
    alone = [str(index) for index in range(400)]
    together = [str(index // 10) for index in range(400)]
    once = [str(index) for index in range(40)]

    def width(x, y, references):
        low, high = interval(resampled_srcc(x, y, resamples(references)))
        return high - low

    assert width(predicted, opinion, together) == pytest.approx(width(*samples, once), rel=0.25)
    assert width(predicted, opinion, alone) < 0.5 * width(predicted, opinion, together)


def test_an_interval_leaves_as_much_on_either_side():
    values = np.array([*range(101), math.nan])
    assert interval(values) == pytest.approx((2.5, 97.5))
    assert interval(values, 0.5) == pytest.approx((25, 75))


def test_what_is_constant_has_no_interval():
    counts = resamples(["a", "b", "c"], rounds=5)
    found = resampled_srcc(np.ones(3), np.arange(3.0), counts)
    assert np.isnan(found).all()
    assert all(map(math.isnan, interval(found)))
