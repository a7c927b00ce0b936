"""A whole small measurement with a graph of a few nodes, whose score is known."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from crossiqa_edge.bench.energy import Spent
from crossiqa_edge.bench.measure import Call, energy, latency, measure, stages
from crossiqa_edge.bench.point import Point, grid, in_words, open_all
from crossiqa_edge.bench.probe import Judged, digest, input_files, probe_set
from crossiqa_edge.bench.timing import Timing
from crossiqa_edge.errors import BackendError, ConfigError
from crossiqa_edge.runtime.openvino_sizes import FixedSizes


@pytest.fixture
def judged():
    """Flat pictures; brighter ones are liked better, and the tiny graph scores brightness."""
    levels = np.linspace(20, 230, 12)
    frames = tuple(np.full((64, 80, 3), level, np.uint8) for level in levels)
    return Judged("flat pictures", frames, levels / 255)


@pytest.fixture
def rows(tiny_onnx, judged):
    points = grid([str(tiny_onnx)], ["onnxruntime"], batches=(1, 3))
    opened, refused = open_all(points)
    assert refused == []
    return measure(opened, judged, seconds=0.05, rounds=8)


def test_rows_hold_latency_accuracy_stages_and_cold_start(rows):
    assert [row["batch"] for row in rows] == [1, 3]
    for row in json.loads(json.dumps(rows)):
        times = row["latency_ms"]
        assert 0 < times["p50"] <= times["p90"] <= times["p99"] <= times["max"]
        assert row["p50_interval_ms"][0] <= times["p50"] <= row["p50_interval_ms"][1]
        assert row["pictures_per_s"] == pytest.approx(1e3 * row["batch"] / times["p50"], rel=0.01)
        assert row["calls"] >= 8
        assert row["accuracy"] == {"set": "flat pictures", "n": 12, "srcc": 1.0, "plcc": 1.0, "krcc": 1.0}
        measured = row["stages_ms"]
        assert measured.pop("host_to_device") is None  # a CPU
        assert set(measured) == {"decode", "sample", "infer", "pool"}
        assert all(0 < ms < 1000 for ms in measured.values())
        assert row["cold"]["peak_device_mb"] is None
        assert row["cold"]["first_ms"] > 0
        assert row["cold"]["peak_rss_mb"] is None or 10 < row["cold"]["peak_rss_mb"] < 2000
        assert row["calibration_ms"] > 0
    assert rows[0]["run"] == rows[1]["run"]


def test_a_cold_start_that_fails_takes_nothing_with_it(tiny_onnx, judged, monkeypatch):
    def killed(point, picture, device):
        raise BackendError(f"{point}: the cold start failed: no message")

    monkeypatch.setattr("crossiqa_edge.bench.measure.cold_start", killed)
    opened, _ = open_all(grid([str(tiny_onnx)], ["onnxruntime"]))
    told = []
    (row,) = measure(opened, judged, seconds=0.05, rounds=8, on_step=told.append)
    assert row["cold"] is None
    assert row["latency_ms"]["p50"] > 0
    assert "the cold start failed" in told[-1]


def test_a_point_that_cannot_run_is_left_out_with_its_reason(tiny_onnx, tmp_path):
    opened, refused = open_all(grid([str(tiny_onnx), str(tmp_path / "absent.onnx")], ["onnxruntime"]))
    assert [point.model for point in opened] == [str(tiny_onnx)]
    assert "no such file" in refused[0].reason


def test_points_of_as_many_views_share_what_runs_them(tiny_onnx):
    """Tuning opens 16 ways to give a model pictures: a copy of the network for each fills a small device."""
    how = [("fragments", 1), ("crops", 1), ("crops", 2)]
    opened, _ = open_all(grid([str(tiny_onnx)], ["onnxruntime"], (1, 2), how, threads=(1, 2)))
    read = {(scorer.sampling, scorer.views) for scorer in opened.values()}
    assert read == set(how)
    sizes = {(point.threads, point.batch * point.views) for point in opened}
    assert len({id(scorer.backend) for scorer in opened.values()}) == len(sizes) == 6


def test_a_reason_is_told_once_with_the_models_it_is_about(tiny_onnx, tmp_path):
    other = tmp_path / "other.onnx"
    other.write_bytes(tiny_onnx.read_bytes())
    points = grid([str(tiny_onnx), str(other)], ["onnxruntime", "torch"], batches=(1, 8))
    _, refused = open_all(points)
    assert in_words(refused) == [f"{tiny_onnx}, {other}: torch runs bare weights (.safetensors), not onnx"]
    with pytest.raises(ConfigError, match="no such file"):
        open_all([Point("absent.onnx", "onnxruntime")])


def test_calls_go_round_through_all_inputs(tiny_onnx, judged):
    files = input_files(judged, 5)
    call = Call(Point(str(tiny_onnx), "onnxruntime", batch=2).open(), 2, files)
    for _ in range(5):
        call()
    assert len(call.stages) == 10
    assert digest(files) != digest(files[::-1])


@pytest.mark.parametrize(("batch", "views"), [(1, 1), (2, 1), (8, 1), (3, 5), (8, 5), (64, 1)])
def test_what_is_compiled_for_once_is_compiled_before_anything_counts(batch, views):
    """With OpenVINO's own rule of when it compiles for a number of views, and nothing to compile."""
    compiled = []

    class Request:
        def infer(self, parts):
            return [np.zeros(len(parts[0]))]

    def compile_for(size):
        compiled.append(size)
        return Request()

    sizes = FixedSizes(compile_for)

    class Network:
        def __init__(self):
            self.views = views

        def score(self, source):
            return next(self.score_many([source], 1))

        def score_many(self, sources, batch):
            sizes.infer(np.zeros((len(sources) * views, 1)))
            return iter([SimpleNamespace(timings={})] * len(sources))

    call = Call(Network(), batch, [b""])
    call.settle()
    assert call.stages == []
    before = list(compiled)
    for _ in range(100):
        call()
    assert compiled == before


def test_a_failing_input_is_no_fast_call(tiny_onnx):
    call = Call(Point(str(tiny_onnx), "onnxruntime").open(), 1, [b"not a picture"])
    with pytest.raises(Exception, match="picture"):
        call()


def test_energy_is_shared_among_the_pictures(monkeypatch):
    class Watt:
        name = "a counter"
        spent = 0.0

        def joules(self):
            return self.spent

    class Fake:
        batch = 4

        def __init__(self, counter):
            self.counter, self.calls = counter, 0

        def __call__(self):
            self.counter.spent += 2.0
            self.calls += 1

    monkeypatch.setattr("crossiqa_edge.bench.measure._ENERGY_SECONDS", 0.01)
    counter = Watt()
    assert energy(counter, Fake(counter)) == pytest.approx(500.0)
    assert energy(None, Fake(counter)) is None
    assert Spent().joules is None


def test_the_probe_is_whole_and_labelled():
    found = probe_set()
    assert len(found) == 500
    assert len({sample.reference for sample in found.samples}) == 4
    few = Judged.of(found, 4)
    assert len(few.frames) == 4 == len({frame.tobytes() for frame in few.frames})
    assert few.opinions[[0, -1]].tolist() == found.scores[[0, -1]].tolist()  # spread over all of it


def test_timing_of_one_call_has_an_interval():
    assert Timing((np.array([3.0]),) * 8).interval() == (3.0, 3.0)


def test_each_figure_is_the_percentile_of_its_name():
    found = latency(Timing((np.arange(1.0, 102.0),) * 8), 4)
    assert found["latency_ms"] == pytest.approx({"p50": 51, "p90": 91, "p99": 100, "max": 101})
    assert (found["calls"], found["pictures_per_s"]) == (808, pytest.approx(4000 / 51, abs=0.01))


def test_the_copy_to_a_device_is_told_by_picture(tiny_onnx, judged, monkeypatch):
    """A copy that takes a millisecond a view: of four pictures with two views each it takes eight."""
    monkeypatch.setattr("crossiqa_edge.bench.measure.host_to_device_ms", lambda backend, views: len(views))
    with Point(str(tiny_onnx), "onnxruntime", batch=4, sampling="crops", views=2).open() as scorer:
        call = Call(scorer, 4, input_files(judged, 4))
        call()
        assert stages(call)["host_to_device"] == 2.0
