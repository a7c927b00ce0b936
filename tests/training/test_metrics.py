"""Figures against values worked out by hand, other formulas, and what must not change them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("scipy", reason="measuring needs the train extra")

from crossiqa_edge.errors import InputError
from crossiqa_edge.training.metrics import (
    Agreement,
    agreement,
    krcc,
    level_order,
    median_agreement,
    plcc,
    rmse,
    srcc,
    srcc_interval,
)

# The worked example of Spearman's coefficient in many a text book: IQ and hours of television of ten
# people; rank differences squared add up to 194, so rho = 1 - 6 * 194 / (10 * 99) = -29/165.
IQ = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110]
HOURS = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17]

# Few distinct values, so that ties are common.
with_ties = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=3, max_size=25)


def columns(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.array(rows, float).T
    return x, y


def test_spearman_of_the_textbook_example() -> None:
    assert srcc(IQ, HOURS) == pytest.approx(-29 / 165, abs=1e-12)


def test_kendall_of_the_textbook_example() -> None:
    # Counted by hand over the 45 pairs: 20 concordant, 25 discordant.
    assert krcc(IQ, HOURS) == pytest.approx((20 - 25) / 45, abs=1e-12)


def test_ties_by_hand() -> None:
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5.
    assert srcc([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / math.sqrt(4.5 * 5), abs=1e-12)
    # Five pairs concordant, one tied on one side: tau-b = 5 / sqrt(5 * 6), where tau-a would be 5/6.
    assert krcc([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(5 / math.sqrt(30), abs=1e-12)


@given(with_ties)
def test_rank_correlations_equal_sums_over_all_pairs(rows: list[tuple[int, int]]) -> None:
    x, y = columns(rows)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert math.isnan(srcc(x, y)) and math.isnan(krcc(x, y))
        return
    sign_x, sign_y = (np.sign(np.subtract.outer(side, side)) for side in (x, y))
    kendall = (sign_x * sign_y).sum() / math.sqrt((sign_x**2).sum() * (sign_y**2).sum())
    # A mean rank is a sum of comparisons, so Spearman is the same quotient of their row sums.
    ranks_x, ranks_y = sign_x.sum(axis=1), sign_y.sum(axis=1)
    spearman = (ranks_x * ranks_y).sum() / math.sqrt((ranks_x**2).sum() * (ranks_y**2).sum())
    assert krcc(x, y) == pytest.approx(kendall, abs=1e-9)
    assert srcc(x, y) == pytest.approx(spearman, abs=1e-9)


@given(with_ties, st.floats(0.01, 100), st.floats(-50, 50))
def test_rank_correlations_see_only_order(rows: list[tuple[int, int]], scale: float, offset: float) -> None:
    x, y = columns(rows)
    bent = scale * np.exp(x) + offset
    if len(np.unique(bent)) < len(np.unique(x)):
        return  # float64 has merged two values: no longer the same order
    for figure in (srcc, krcc):
        expected = figure(x, y)
        assert figure(bent, y) == pytest.approx(expected, abs=1e-12, nan_ok=True)
        assert figure(-bent, y) == pytest.approx(-expected, abs=1e-12, nan_ok=True)
        assert figure(y, x) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_an_inverted_predictor_is_not_flattered() -> None:
    opinion = np.linspace(0, 1, 40) ** 2
    assert plcc(-opinion, opinion) < -0.99


def test_rmse_is_in_the_unit_of_the_opinions() -> None:
    generator = np.random.default_rng(3)
    x = generator.normal(size=400)
    y = 10 * x + generator.normal(size=400)
    assert rmse(x, y) == pytest.approx(1.0, rel=0.1)
    assert rmse(x, 100 * y) == pytest.approx(100 * rmse(x, y), rel=1e-3)


def test_constant_sides_have_no_correlation() -> None:
    x = [1.0, 2, 3, 5]
    flat = agreement([4.0] * 4, x)
    assert all(map(math.isnan, (flat.srcc, flat.plcc, flat.krcc, *flat.interval)))
    assert flat.rmse == pytest.approx(np.std(x))  # the best constant is the mean
    assert math.isnan(agreement(x, [4.0] * 4).srcc)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_samples_have_no_figures(n: int) -> None:
    few = agreement(range(n), range(n))
    assert few.n == n
    assert all(map(math.isnan, (few.srcc, few.plcc, few.krcc, few.rmse, *few.interval)))
    assert few.to_dict()["srcc"] is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(InputError, match="1 of 4 predictions are not finite"):
        agreement([1, 2, 3, bad], [1, 2, 3, 4])
    with pytest.raises(InputError, match="opinions"):
        srcc([1, 2, 3, 4], [1, 2, 3, bad])


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="equal length"):
        agreement([1, 2, 3], [1, 2])


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    # Bivariate normal samples of known correlation r; their Spearman is 6/pi * asin(r/2).
    generator = np.random.default_rng(11)
    truth = 6 / math.pi * math.asin(0.8 / 2)
    covered = 0
    for _ in range(600):
        x, y = generator.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], size=60).T
        low, high = srcc_interval(srcc(x, y), 60)
        covered += low <= truth <= high
    assert 0.92 <= covered / 600 <= 0.98


def test_interval_by_hand_and_at_the_edges() -> None:
    # r = 0, n = 103: z = 1.959964 / 10, so the edges are tanh(0.1959964).
    assert srcc_interval(0.0, 103) == pytest.approx((-0.193525, 0.193525), abs=1e-6)
    # r = 0.8: the variance is (1 + 0.32) / 100, so the edges are tanh(atanh(0.8) -+ 0.225183).
    assert srcc_interval(0.8, 103) == pytest.approx((0.703112, 0.867725), abs=1e-6)
    assert srcc_interval(1.0, 50) == (1.0, 1.0)
    assert all(map(math.isnan, srcc_interval(0.5, 3)))


def test_level_order_by_hand() -> None:
    perfect, one_swap, tie = [5.0, 4, 3, 2, 1], [5.0, 3, 4, 2, 1], [2.0, 2, 1]
    order = level_order([perfect, one_swap, tie])
    assert (order.series, order.series_right) == (3, 1)
    assert (order.pairs, order.pairs_right) == (10 + 10 + 3, 10 + 9 + 2)
    # The swap of levels 2 and 3 spoils the triples that hold both: with 1, with 4, with 5.
    assert (order.triples, order.triples_right) == (10 + 10 + 1, 10 + 7 + 0)
    assert order.to_dict()["series_in_order"] == pytest.approx(1 / 3, abs=1e-4)
    assert level_order([]).to_dict()["pairs_in_order"] is None


@given(st.permutations(range(5)))
def test_pairs_in_order_are_kendalls_tau(values: list[int]) -> None:
    order = level_order([[float(value) for value in values]])
    tau = krcc(values, range(5))
    assert order.pairs_right / order.pairs == pytest.approx((1 - tau) / 2)
    assert (order.series_right == 1) == (order.triples_right == order.triples) == (values == [4, 3, 2, 1, 0])


def test_median_agreement_goes_figure_by_figure() -> None:
    def figures(n: int, value: float) -> Agreement:
        return Agreement(n, value, (math.nan, math.nan), value + 0.01, value - 0.1, 10 * value)

    middle = median_agreement([figures(10, 0.9), figures(30, 0.2), figures(20, 0.7), figures(20, math.nan)])
    assert (middle.n, middle.srcc) == (20, 0.7)
    assert (middle.plcc, middle.krcc, middle.rmse) == pytest.approx((0.71, 0.6, 7.0))
    assert middle.interval == srcc_interval(0.7, 20)
