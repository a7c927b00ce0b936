import pytest
from rows_for_tests import row

from crossiqa_edge.bench.comparison import compare_runs, lost_srcc, remarks
from crossiqa_edge.bench.tables import change_cells
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


def test_accuracy_on_other_pictures_is_no_change():
    fewer = row(srcc=0.5)
    fewer["accuracy"]["n"] = 50  # of the same set
    assert compare_runs([row(srcc=0.7)], [fewer])[0].srcc_change is None


def test_an_accuracy_that_exists_no_more_is_lost():
    changes = compare_runs([row(srcc=0.7)], [row(srcc=None)])
    assert lost_srcc(changes, 1.0)
    assert change_cells(changes)[1][-1] == "lost"


def test_what_is_not_known_to_be_kept_does_not_pass():
    with pytest.raises(InputError, match="not known"):
        lost_srcc(compare_runs([row(srcc=None)], [row()]), 0.01)


def test_times_of_other_pictures_are_not_compared():
    other = row()
    other["input"]["set"] = "larger pictures"
    with pytest.raises(InputError, match="two sets"):
        compare_runs([row()], [other])


def test_a_reader_is_told_of_other_machines_and_of_points_that_are_gone():
    jetson = {"cpu": "Another CPU", "cores": 6, "instructions": [], "system": "Linux"}
    told = remarks([row(), row("tiny")], [row(machine=jetson), row(batch=8, machine=jetson)])
    assert told == [
        "two machines: A CPU, 2 cores before, Another CPU, 6 cores after",
        "only before, not compared: tiny fp32 onnxruntime batch 1 fragments",
        "only after, not compared: nano fp32 onnxruntime batch 8 fragments",
    ]
    assert remarks([row()], [row()]) == []
    encoded_anew = row()
    encoded_anew["input"]["sha256"] = "1"  # as by another Pillow: told, and compared all the same
    (told,) = remarks([row()], [encoded_anew])
    assert "not timed on the same files" in told
    assert compare_runs([row()], [encoded_anew])[0].verdict == "same"


def test_points_are_matched_by_what_they_are():
    changes = compare_runs([row(batch=1), row(batch=8)], [row(batch=8, p50=12), row("tiny")])
    assert [change.after["batch"] for change in changes] == [8]
    with pytest.raises(InputError, match="no point in common"):
        compare_runs([row("nano")], [row("tiny")])
