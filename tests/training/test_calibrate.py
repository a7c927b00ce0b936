import numpy as np
import pytest

from crossiqa_edge.card import ModelCard
from crossiqa_edge.training.calibrate import (
    Intervals,
    fit_calibration,
    held_out_coverage,
    interval_half_width,
    reference_quantiles,
    sigmoid,
)


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


def test_a_picture_of_weight_three_counts_as_three_pictures(generator):
    raw, opinions, times = generator.random(40), generator.random(40), np.arange(40) % 3 + 1
    thrice = fit_calibration(np.repeat(raw, times), np.repeat(opinions, times), np.ones(times.sum()))
    assert fit_calibration(raw, opinions, times.astype(float)) == pytest.approx(thrice, rel=1e-4)


def test_interval_covers_fresh_data_as_promised(generator):
    covered = []
    for _ in range(300):
        residuals = generator.normal(size=80)
        width = interval_half_width(np.zeros(79), residuals[:79])
        covered.append(abs(residuals[79]) <= width)
    assert np.mean(covered) == pytest.approx(0.9, abs=0.06)


def test_interval_of_few_pictures_is_their_largest_residual():
    assert interval_half_width(np.zeros(3), np.array([1.0, -5.0, 2.0])) == 5.0


def fanning(generator, count):
    """Scores, and opinions that scatter ten times as much at the upper end as at the lower."""
    scores = generator.uniform(10, 90, count)
    return scores, scores + generator.normal(size=count) * (scores / 9)


def test_intervals_by_region_keep_their_promise_in_each(generator):
    intervals = Intervals.fit(*fanning(generator, 1000))
    scores, opinions = fanning(generator, 20000)
    inside = intervals.cover(scores, opinions)
    region = np.searchsorted(intervals.edges, scores, side="right")
    # one standard deviation of the coverage that 200 pictures promise is 0.021
    assert [inside[region == index].mean() for index in range(5)] == pytest.approx([0.9] * 5, abs=0.06)
    assert list(intervals.half_widths) == sorted(intervals.half_widths)
    assert intervals.half_widths[-1] > 2 * intervals.half_widths[0]
    card = ModelCard("n", "nano", **intervals.card_values())
    for score, opinion, held in zip(scores[:200], opinions[:200], inside[:200], strict=True):
        low, high = card.interval(score)
        assert (low <= np.clip(opinion, 0, 100) <= high) or not held


def test_few_pictures_make_one_region_and_all_of_the_least_width_are_held(generator):
    scores, opinions = fanning(generator, 150)
    intervals = Intervals.fit(scores, opinions)
    assert (intervals.edges, len(intervals.half_widths)) == ((), 1)
    assert intervals.cover(scores, opinions).sum() == np.ceil(151 * 0.9)


def test_coverage_on_held_out_halves_is_that_of_new_pictures(generator):
    scores, opinions = fanning(generator, 1000)
    opinions[::12] += 200  # far outside what the others teach, and fewer than the tenth that may be
    held = held_out_coverage(scores, opinions)
    assert held.mean() == pytest.approx(0.9, abs=0.02)
    assert held[::12].mean() < 0.2 and held[1::12].mean() > 0.95


def test_coverage_is_told_of_pictures_that_the_intervals_have_not_seen(generator):
    scores, opinions = fanning(generator, 10)
    # five pictures never leave the interval of their own largest residual; of five others one in six does
    assert held_out_coverage(scores, opinions).mean() == pytest.approx(5 / 6, abs=0.06)


def test_a_score_at_an_edge_is_of_the_region_that_begins_there():
    scores = np.array([20.0] * 80 + [60.0] * 120)
    intervals = Intervals.fit(scores, scores + np.array([1.0] * 80 + [9.0] * 120))
    assert (intervals.edges, intervals.half_widths) == ((60.0,), (1.0, 9.0))


def test_reference_quantiles_are_shares_of_the_set(generator):
    scores = generator.uniform(0, 100, 500)
    card = ModelCard("n", "nano", reference_set="made", reference_scores=reference_quantiles(scores))
    for score in (10.0, 37.0, 90.0):
        assert card.percentile(score) == pytest.approx(100 * np.mean(scores < score), abs=0.5)
    assert ModelCard.from_json(card.to_json()) == card


def test_equal_scores_leave_regions_empty_and_still_have_intervals():
    scores, opinions = np.full(300, 50.0), np.linspace(20, 80, 300)
    found = Intervals.fit(scores, opinions)
    assert found.half_widths == pytest.approx([found.overall] * len(found.half_widths), abs=0.01)
    assert held_out_coverage(scores, opinions).mean() == pytest.approx(0.9, abs=0.03)


def test_a_single_picture_tells_nothing_of_coverage():
    assert np.isnan(held_out_coverage(np.array([50.0]), np.array([40.0]))).all()
