import json

import pytest

from crossiqa_edge.bench.gate import main


@pytest.fixture
def run(tmp_path):
    """Write a result of pytest-benchmark: name -> median seconds."""

    def write(name, calibration, **medians):
        path = tmp_path / name
        loop = {"fullname": "loop", "stats": {"median": calibration}, "extra_info": {"calibration": True}}
        others = [{"fullname": key, "stats": {"median": value}} for key, value in medians.items()]
        path.write_text(json.dumps({"benchmarks": [loop, *others]}))
        return str(path)

    return write


def test_another_machine_is_no_regression(run):
    assert main([run("a", 1.0, decode=2.0, infer=5.0), run("b", 3.0, decode=6.0, infer=15.0)]) == 0


def test_a_slower_stage_fails(run, capsys):
    stored, new = run("a", 1.0, decode=2.0, infer=5.0), run("b", 1.0, decode=2.0, infer=7.0)
    assert main([stored, new]) == 1
    assert capsys.readouterr().out.splitlines()[1].split() == ["infer", "5.0000", "7.0000", "1.40"]
    assert main([stored, new, "--tolerance", "0.5"]) == 0


def test_a_run_is_stored_without_its_raw_timings_and_means_the_same(run, tmp_path, capsys):
    new, stored = run("a", 2.0, decode=4.0), tmp_path / "stored.json"
    values = json.loads((tmp_path / "a").read_text())
    values["benchmarks"][1]["stats"]["data"] = [4.0] * 10_000
    values["machine_info"] = {"node": "secret", "cpu": "A CPU"}
    (tmp_path / "a").write_text(json.dumps(values))
    assert main([str(stored), new, "--store"]) == 0
    assert json.loads(stored.read_text())["machine_info"] == {"cpu": "A CPU"}
    assert stored.stat().st_size < 1000
    assert main([str(stored), new]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["decode", "2.0000", "2.0000", "1.00"]
    (tmp_path / "bare").write_text(json.dumps({"benchmarks": []}))
    assert main([str(stored), str(tmp_path / "bare"), "--store"]) == 2


def test_a_stage_that_only_one_run_has_is_named(run, capsys):
    stored, new = run("a", 1.0, decode=2.0, infer=5.0), run("b", 1.0, decode=2.0, pool=1.0)
    assert main([stored, new]) == 0
    told = capsys.readouterr().err
    assert "only in the stored run: infer" in told
    assert "only in the new run: pool" in told


def test_a_stage_as_long_as_the_calibration_loop_is_compared(run, capsys):
    assert main([run("a", 1.0, decode=1.0, infer=5.0), run("b", 1.0, decode=9.0, infer=5.0)]) == 1
    assert "decode" in capsys.readouterr().out


@pytest.mark.parametrize("median", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_time_that_cannot_be_does_not_pass(run, median, capsys):
    good = run("a", 1.0, decode=2.0)
    assert main([good, run("b", 1.0, decode=median)]) == 2
    assert main([run("b", 1.0, decode=median), good]) == 2
    assert main([good, run("b", median, decode=2.0)]) == 2
    assert "no possible time" in capsys.readouterr().err


@pytest.mark.parametrize("tolerance", ["nan", "inf", "-0.1"])
def test_a_tolerance_that_nothing_exceeds_is_refused(run, tolerance):
    path = run("a", 1.0, decode=2.0)
    with pytest.raises(SystemExit):
        main([path, path, f"--tolerance={tolerance}"])


def test_what_cannot_be_compared(run, tmp_path, capsys):
    (tmp_path / "text").write_text("hello")
    assert main([str(tmp_path / "text"), run("b", 1.0, decode=1.0)]) == 2
    assert main([run("a", 1.0, decode=1.0), run("b", 1.0, infer=1.0)]) == 2
    (tmp_path / "bare").write_text(json.dumps({"benchmarks": []}))
    assert main([str(tmp_path / "bare"), run("b", 1.0, decode=1.0)]) == 2
    assert "0 calibration loops" in capsys.readouterr().err
