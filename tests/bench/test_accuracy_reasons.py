"""What the reasons are computed from: values whose faults are known."""

from types import SimpleNamespace

import numpy as np
import pytest

from crossiqa_edge.bench.accuracy_reasons import by_reference, in_order, without_worst


def sample(kind, reference, level, score):
    return SimpleNamespace(distortion=kind, reference=reference, level=level, score=score)


SAMPLES = [
    sample(kind, reference, level, 90 - 10 * level)
    for kind in ("blur", "noise", "shift", "contrast")
    for reference in ("a", "b", "c")
    for level in (1, 2, 3)
]


def values(change):
    return np.array([change(item) for item in SAMPLES], float)


def test_the_types_that_are_ranked_worst_are_named_and_left_out():
    signs = {"blur": 1, "noise": -1, "shift": -1, "contrast": -1}
    worst, overall, others = without_worst(values(lambda item: signs[item.distortion] * item.score), SAMPLES)
    assert sorted(worst) == ["contrast", "noise", "shift"]
    assert others == pytest.approx(1) and overall < 0


def test_a_picture_that_is_scored_too_low_shows_where_it_is_left_out():
    shifted = values(lambda item: item.score - 50 * (item.reference == "b"))
    within, left_out = by_reference(shifted, SAMPLES, "blur")
    assert within == pytest.approx(1)
    assert left_out["b"] == pytest.approx(1) and left_out["a"] < 0.7 and left_out["c"] < 0.7


def test_levels_that_are_confused_within_one_picture_show_as_the_least():
    confused = values(lambda item: -item.score if item.reference == "b" else item.score)
    assert by_reference(confused, SAMPLES, "blur")[0] == pytest.approx(-1)


def test_series_are_in_order_only_if_every_level_costs_something():
    found = in_order(
        values(lambda item: item.score + 30 * (item.reference == "c") * (item.level == 3)), SAMPLES
    )
    assert found == {kind: [True, True, False] for kind in ("blur", "noise", "shift", "contrast")}
