"""Counting which opinions the intervals held, by region, and over several sets."""

from __future__ import annotations

import numpy as np
import pytest

from crossiqa_edge.card import ModelCard
from crossiqa_edge.training.coverage import Coverage

CARD = ModelCard("n", "nano", interval_half_widths=(5.0, 20.0), interval_edges=(50.0,))


def test_each_region_counts_what_its_own_width_holds() -> None:
    predicted = np.array([10.0, 20.0, 30.0, 50.0, 95.0])
    found = Coverage.of(CARD, predicted, predicted + np.array([5.0, -5.1, -5.0, 20.0, 4.0]))
    assert found is not None
    assert [(r.low, r.high, r.n, r.covered) for r in found.regions] == [(0, 50, 3, 2), (50, 100, 2, 2)]
    assert (found.n, found.share) == (5, pytest.approx(0.8))
    assert found.mean_width == pytest.approx((10 + 10 + 10 + 40 + 25) / 5)  # 75 to 100 is cut at the end
    assert found.to_dict()["by_region"][0] == {"from": 0.0, "to": 50.0, "n": 3, "coverage": 0.6667}
    assert "80.0% of 5" in str(found) and "0 to 50: 67%" in str(found)


def test_sets_are_pooled_by_picture() -> None:
    few = Coverage.of(CARD, np.array([10.0]), np.array([90.0]))
    many = Coverage.of(CARD, np.full(9, 60.0), np.full(9, 61.0))
    assert few is not None and many is not None
    pooled = Coverage.pooled([few, many])
    assert (pooled.n, pooled.share, pooled.mean_width) == (10, 0.9, pytest.approx((10 + 9 * 40) / 10))
    assert few.regions[1].share is None and "50 to 100" not in str(few)


def test_a_card_without_regions_has_one_and_without_intervals_none() -> None:
    predicted = np.array([10.0, 90.0])
    plain = Coverage.of(
        ModelCard("n", "nano", interval_half_width=3.0), predicted, predicted + np.array([3.0, 4.0])
    )
    assert plain is not None and plain.share == 0.5
    assert [(r.low, r.high) for r in plain.regions] == [(0.0, 100.0)]
    assert Coverage.of(ModelCard("n", "nano"), predicted, predicted) is None
