import numpy as np
import pytest

from crossiqa_edge.bench import peers
from crossiqa_edge.bench.peers import METRICS, NETWORKS, Running, measure_peers, metric, opened, pyiqa
from crossiqa_edge.bench.point import Point
from crossiqa_edge.bench.probe import Judged
from crossiqa_edge.bench.timing import Timing
from crossiqa_edge.errors import ConfigError, CrossIQAError


@pytest.fixture
def judged():
    levels = np.linspace(20, 230, 9)
    return Judged("flat", tuple(np.full((64, 64, 3), level, np.uint8) for level in levels), levels / 255)


@pytest.fixture
def scorer(tiny_onnx):
    return Point(str(tiny_onnx), "onnxruntime").open()


def line_of(lines, name):
    return dict(zip(lines[0], next(line for line in lines if line[0] == name), strict=True))


def test_a_metric_and_an_untrained_network_stand_beside_ours(scorer, judged):
    darkness = Running(lambda frame: -float(frame.mean()), "numpy")
    untrained = Running(lambda frame: float("nan"), "untrained", size=2_500_000, judges=False)
    lines = measure_peers(scorer, judged, 0.02, {"Darkness": darkness, "backbone": untrained})
    ours = line_of(lines, scorer.card.identity)
    assert (ours["SRCC"], ours["times ours"]) == ("1.0000", "1.00")
    assert line_of(lines, "Darkness")["SRCC"] == "-1.0000"  # losses of theirs and of ours are told alike
    backbone = line_of(lines, "backbone")
    assert (backbone["SRCC"], backbone["PLCC"], backbone["KRCC"]) == ("–", "–", "–")
    assert (backbone["file MB"], backbone["what runs it"]) == ("2.50", "untrained")


def test_the_ratio_says_how_much_longer_the_peer_takes(scorer, judged, monkeypatch):
    def timed(calls, **_):
        return {name: Timing((np.array([6.0 if name == "Slow" else 2.0]),) * 8) for name in calls}

    monkeypatch.setattr(peers, "interleave", timed)
    slow = Running(lambda frame: 0.0, "numpy", judges=False)
    line = line_of(measure_peers(scorer, judged, 0.01, {"Slow": slow}), "Slow")
    assert (line["ms a picture"], line["times ours"]) == ("6.00", "3.00")


def test_figures_that_are_none_are_no_result(scorer, judged):
    with pytest.raises(CrossIQAError, match="not finite"):
        measure_peers(scorer, judged, 0.01, {"Broken": Running(lambda frame: float("nan"), "")})


def test_what_is_not_installed_or_does_not_load_is_left_out_with_the_reason():
    def unfit():
        raise AttributeError("module 'numpy' has no attribute 'float'")

    absent = metric("Absent", "absent", "no_such_module_here", unfit)
    broken = metric("Broken", "numpy", "numpy", unfit)
    fine = metric("Fine", "numpy", "numpy", lambda: lambda frame: 0.0)
    ready, reasons = opened([absent, broken, fine])
    assert [*ready] == ["Fine"]
    assert ready["Fine"].how == f"numpy {np.__version__}"
    assert reasons[0] == "Absent: not installed; pip install absent"
    assert reasons[1].startswith("Broken: numpy ")
    assert "no attribute 'float'" in reasons[1]


def test_names_are_told_apart():
    assert len({peer.name for peer in (*METRICS, *NETWORKS)}) == len(METRICS) + len(NETWORKS)


def test_a_metric_of_pyiqa_that_does_not_exist_is_the_users_error(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    (tmp_path / "pyiqa.py").write_text("def list_models(metric_mode): return ['musiq']\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="no metric 'ssim' without a reference"):
        opened([pyiqa("ssim")])
