import pytest
from rows_for_tests import row

from crossiqa_edge.bench.comparison import compare_runs
from crossiqa_edge.errors import InputError


def test_a_slower_machine_is_no_change():
    (change,) = compare_runs([row(p50=10, calibration=5)], [row(p50=20, calibration=10)])
    assert change.ratio == pytest.approx(1.0)
    assert change.verdict == "same"


def test_a_slower_point_is_found():
    (change,) = compare_runs([row(p50=10)], [row(p50=11)])
    assert change.verdict == "slower"
    assert change.interval == pytest.approx((1.1 * 0.98 / 1.02, 1.1 * 1.02 / 0.98))


def test_noise_decides_nothing():
    (change,) = compare_runs([row(p50=10, interval=(9, 11))], [row(p50=10.5, interval=(9.4, 11.6))])
    assert change.verdict == "undecided"
    (change,) = compare_runs([row(p50=10, interval=(9.9, 10.1))], [row(p50=10.1, interval=(9.9, 10.3))])
    assert change.verdict == "same"


def test_lost_accuracy_is_told():
    (change,) = compare_runs([row(srcc=0.7)], [row(srcc=0.65)])
    assert change.srcc_change == pytest.approx(-0.05)
    other = row(srcc=0.7)
    other["accuracy"]["set"] = "another set"
    assert compare_runs([other], [row()])[0].srcc_change is None


def test_points_are_matched_by_what_they_are():
    changes = compare_runs([row(batch=1), row(batch=8)], [row(batch=8, p50=12), row("tiny")])
    assert [change.after["batch"] for change in changes] == [8]
    with pytest.raises(InputError, match="no point in common"):
        compare_runs([row("nano")], [row("tiny")])
