"""Which backend is chosen, and the reason given."""

import sys
from types import ModuleType

import numpy as np
import pytest

from crossiqa_edge.card import CARD_KEY, ModelCard
from crossiqa_edge.errors import ArtefactError, BackendError, ConfigError
from crossiqa_edge.runtime import select, speeds
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.select import measured, open_backend
from crossiqa_edge.runtime.speeds import Speed


class StandIn:
    """A backend that takes as long as it is told, on a clock that only it moves."""

    def __init__(self, clock, seconds, reason, wrong):
        self.clock, self.seconds, self.reason, self.wrong, self.closed = clock, seconds, reason, wrong, False

    def infer(self, views):
        if self.wrong:
            raise self.wrong
        self.clock.now += self.seconds * len(views)
        return np.zeros(len(views), np.float32)

    def close(self):
        self.closed = True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Bench:
    """Stand-ins registered as the only backends, and what was opened."""

    def __init__(self, monkeypatch):
        self.monkeypatch, self.clock, self.opened, self.rows = monkeypatch, Clock(), [], {}
        monkeypatch.setattr(speeds, "perf_counter", self.clock)
        monkeypatch.setattr(select, "perf_counter", self.clock)
        monkeypatch.setattr(select, "BACKENDS", self.rows)

    def add(self, name, *, obstacle=None, opening=0.0, view=0.01, error=None, wrong=None):
        module = ModuleType(f"stand_in_{name}")
        module.obstacle = lambda artefact: obstacle

        def open_backend(artefact, *, threads, reason):
            if error:
                raise error
            self.clock.now += opening
            self.opened.append((name, StandIn(self.clock, view, reason, wrong)))
            return self.opened[-1][1]

        module.open_backend = open_backend
        self.monkeypatch.setitem(sys.modules, module.__name__, module)
        self.rows[name] = module.__name__

    def names(self):
        return [name for name, _ in self.opened]


@pytest.fixture
def bench(monkeypatch):
    return Bench(monkeypatch)


@pytest.fixture
def artefact(tiny_onnx):
    return Artefact.open(tiny_onnx)


def test_one_that_can_run_it_is_taken_without_measuring(artefact, bench):
    bench.add("picky", obstacle="no such accelerator")
    bench.add("plain")
    backend = open_backend(artefact, work=10_000)
    assert bench.names() == ["plain"]
    assert backend.reason == "the only one that runs this onnx file here"


@pytest.mark.parametrize("work", [None, 1, 1000])
def test_the_first_use_measures_and_remembers(artefact, bench, work):
    bench.add("slow", view=0.02)
    bench.add("fast", view=0.01)
    first = open_backend(artefact, work=work)
    assert bench.names() == ["slow", "fast", "fast"]
    assert [backend.closed for _, backend in bench.opened] == [True, True, False]
    assert first.reason.endswith("ms a view: slow 20, fast 10")
    assert open_backend(artefact, work=1000).reason == (
        "first to be done with 1000 views, opening included; ms a view: slow 20, fast 10"
    )
    assert open_backend(artefact).reason == "fastest here, ms a view: slow 20, fast 10"
    assert bench.names()[3:] == ["fast", "fast"], "nothing was measured again"


def test_what_was_measured_holds_for_that_number_of_threads(artefact, bench):
    bench.add("slow", view=0.02)
    bench.add("fast", view=0.01)
    for threads, opened in ((2, 3), (2, 4), (None, 7), (None, 8), (2, 9)):
        open_backend(artefact, threads=threads)
        assert len(bench.opened) == opened


@pytest.mark.parametrize(("view", "rounds"), [(1.0, 3), (0.06, 7), (0.001, 31)])
def test_slow_models_are_measured_in_few_rounds(artefact, bench, view, rounds):
    bench.add("only", view=view)
    measured(artefact)
    assert bench.clock.now == pytest.approx(view * (1 + rounds)), "the first call is not timed"


def test_of_equals_the_first_in_the_stated_order_is_taken(artefact, bench):
    for name in ("one", "two", "three"):
        bench.add(name)
    open_backend(artefact)
    open_backend(artefact, work=5)
    assert bench.names()[3:] == ["one", "one"]


def test_a_single_picture_does_not_wait_for_what_opens_slowly(artefact, bench):
    bench.add("slow", view=0.02, opening=0.1)
    bench.add("fast", view=0.01, opening=1.0)
    measured(artefact)
    open_backend(artefact, work=1)
    open_backend(artefact, work=89)
    open_backend(artefact, work=91)
    assert bench.names()[2:] == ["slow", "slow", "fast"]


def test_what_fails_when_it_is_measured_is_never_taken(artefact, bench):
    bench.add("broken", error=BackendError("its library\ndoes not load"))
    bench.add("slow", view=0.02)
    bench.add("fast", view=0.01)
    assert measured(artefact) == {"slow": Speed(0, 20), "fast": Speed(0, 10), "broken": None}
    assert open_backend(artefact).reason == (
        "fastest here, ms a view: slow 20, fast 10; failed when measured: broken"
    )


def test_what_opens_but_cannot_infer_is_never_taken(artefact, bench):
    bench.add("hollow", wrong=BackendError("out of memory"))
    bench.add("sound")
    assert "failed when measured: hollow" in open_backend(artefact).reason
    assert bench.names() == ["hollow", "sound", "sound"] and bench.opened[0][1].closed


def test_what_failed_for_want_of_something_is_tried_again_the_next_day(artefact, bench, monkeypatch):
    now = 0.0
    monkeypatch.setattr(speeds, "time", lambda: now)
    bench.add("fast", view=0.001, error=BackendError("out of memory"))
    bench.add("slow", view=0.02)
    for _ in range(3):
        assert open_backend(artefact).reason.endswith("failed when measured: fast")
    assert len(bench.names()) == 4, "it was not tried at every start"
    bench.add("fast", view=0.001)
    now += 25 * 3600
    assert open_backend(artefact).reason == "fastest here, ms a view: fast 1, slow 20"


def test_a_record_in_which_all_failed_is_measured_anew(artefact, bench):
    bench.add("one")
    bench.add("two")
    speeds.remember(artefact, None, {"one": None, "two": None})
    assert open_backend(artefact).reason == "fastest here, ms a view: one 10, two 10"


def test_where_all_fail_their_errors_are_told(artefact, bench):
    bench.add("broken", error=BackendError("its library does not load"))
    with pytest.raises(BackendError, match="its library does not load"):
        measured(artefact)


def test_a_backend_that_came_later_makes_a_measurement_old(artefact, bench):
    bench.add("one", view=0.02)
    bench.add("two", view=0.01)
    measured(artefact)
    bench.add("three", view=0.001)
    assert "three 1" in open_backend(artefact).reason


def test_what_takes_minutes_to_open_is_only_taken_by_name(artefact, bench):
    bench.add("onnxruntime-tensorrt", view=0.001)
    bench.add("plain")
    measured(artefact)
    open_backend(artefact)
    open_backend(artefact, "onnxruntime-tensorrt")
    assert bench.names() == ["plain", "plain", "onnxruntime-tensorrt"]


def test_what_would_help_if_it_were_installed_is_told_where_it_could_run(artefact, bench, monkeypatch):
    bench.add("openvino", obstacle="not installed: pip install it")
    bench.add("tensorrt", obstacle="not installed: pip install it")
    bench.add("plain")
    monkeypatch.setattr(select, "nvidia_gpu_seen", lambda: False)
    assert open_backend(artefact).reason.endswith("here; may be faster, see crossiqa doctor: openvino")
    monkeypatch.setattr(select, "nvidia_gpu_seen", lambda: True)
    assert open_backend(artefact).reason.endswith("doctor: openvino, tensorrt")


def test_by_name(artefact):
    assert open_backend(artefact, "onnxruntime").reason == "asked for by name"


def test_an_unknown_name_lists_the_known_ones(artefact):
    with pytest.raises(ConfigError, match=r"unknown backend 'cuda'; choose from auto, .*onnxruntime"):
        open_backend(artefact, "cuda")


def test_one_asked_for_that_cannot_run_is_not_replaced(artefact, bench):
    bench.add("picky", obstacle="no such accelerator")
    bench.add("plain")
    with pytest.raises(BackendError, match="no such accelerator"):
        open_backend(artefact, "picky")
    assert bench.opened == []


def test_where_none_can_run_all_reasons_are_given(artefact, bench):
    bench.add("picky", obstacle="no such accelerator")
    bench.add("absent", obstacle="not installed")
    with pytest.raises(BackendError, match=r"here \(picky: no such accelerator; absent: not installed\)"):
        open_backend(artefact)


@pytest.mark.parametrize("threads", [0, 100_000])
def test_threads_must_be_positive_and_not_beyond_what_a_system_gives(artefact, threads):
    with pytest.raises(ConfigError, match=f"threads must be 1 to 1024, not {threads}"):
        open_backend(artefact, threads=threads)


def test_bare_weights_are_sent_to_export_where_torch_is_missing(tmp_path, bench):
    save = pytest.importorskip("safetensors.numpy").save
    path = tmp_path / "w.safetensors"
    path.write_bytes(save({}, metadata={CARD_KEY: ModelCard("w", "nano").to_json()}))
    bench.add("torch", obstacle="torch is not installed")
    with pytest.raises(ArtefactError, match=r"crossiqa export .*w\.safetensors -o .*w\.onnx"):
        open_backend(Artefact.open(path))


def test_every_row_of_the_table_is_a_backend(artefact):
    for name, hindrance in select.obstacles(artefact).items():
        assert hindrance is None or (hindrance and "\n" not in hindrance), name
    assert select.obstacles(artefact)["onnxruntime"] is None
