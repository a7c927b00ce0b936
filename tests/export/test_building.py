"""Engines on a simulated GPU: an accepted one carries its own verdict, a refused one leaves the cache."""

from types import SimpleNamespace

import numpy as np
import pytest
from engine_files import PLAN
from fake_cuda import FakeCuda, MeanEngine

from crossiqa_edge.errors import ArtefactError, BackendError, OutputError
from crossiqa_edge.export import building
from crossiqa_edge.export import tensorrt as builder
from crossiqa_edge.export.conversion import convert, plan
from crossiqa_edge.export.targets import TARGETS, Options
from crossiqa_edge.export.trt_builder import Plan
from crossiqa_edge.runtime import devices, engine_cache, tensorrt
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.devices import Device
from crossiqa_edge.runtime.select import open_backend


def quiet(stage, share=None):
    pass


@pytest.fixture
def gpu(tmp_path, monkeypatch):
    """A machine with TensorRT whose engines give the mean byte plus ``gpu.error`` points."""
    state = SimpleNamespace(error=0.0, built=0, before=lambda: None, closed=0)

    class Engine(MeanEngine):
        def __init__(self):
            super().__init__(FakeCuda(), 224)

        def check_bindings(self, size):
            assert size == self.size

    def compiled(*arguments, **options):
        state.built += 1
        return Plan(PLAN, [], None)

    def opened(*arguments, **options):
        backend = real(*arguments, **options)
        infer, close = backend.infer, backend.close

        def changed(views):
            state.before()
            return infer(views) + np.float32(state.error)

        def closing():
            state.closed += 1
            close()

        backend.infer, backend.close = changed, closing
        return backend

    real = tensorrt.open_backend
    engine = Engine()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(devices, "device", lambda: Device("Orin", 87))
    monkeypatch.setattr(devices, "runtime_version", lambda name: "10.3.0")
    monkeypatch.setattr(devices, "installed_version", lambda name: "10.3.0")
    monkeypatch.setattr(builder, "compile_plan", compiled)
    monkeypatch.setattr(tensorrt, "find_spec", lambda name: object())
    monkeypatch.setattr(tensorrt, "import_module", lambda name: None)
    monkeypatch.setattr(tensorrt, "CudaRuntime", lambda: engine.cuda)
    monkeypatch.setattr(tensorrt, "PlanEngine", lambda *arguments, **options: engine)
    monkeypatch.setattr(tensorrt, "open_backend", opened)
    return state


def exported(graph, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir(mode=0o700, exist_ok=True)
    return convert(plan(graph, "tensorrt", folder / "m.engine"), quiet)


def test_an_accepted_engine_carries_its_own_verdict_in_the_cache_and_out_of_it(gpu, make_onnx, tmp_path):
    graph = make_onnx(acceptance={"passed": True, "srcc": 0.5})
    gpu.error = 0.25
    made = exported(graph, tmp_path)
    (entry,) = engine_cache.entries()
    cards = [Artefact.open(made.path).card, entry.header.card]
    assert [card.acceptance["max_difference"] for card in cards] == [pytest.approx(0.25, abs=1e-3)] * 2
    assert cards[0].acceptance == cards[1].acceptance == made.built.to_dict()
    assert made.path.read_bytes() == entry.path.read_bytes()
    assert open_backend(Artefact.open(graph), "tensorrt").name == "tensorrt"
    exported(graph, tmp_path)
    assert gpu.built == 1


@pytest.mark.parametrize("error", [3.0, float("nan")])
def test_a_refused_engine_is_usable_nowhere(gpu, tiny_onnx, tmp_path, error):
    gpu.error = error
    with pytest.raises(ArtefactError, match="nothing was written"):
        exported(tiny_onnx, tmp_path)
    assert engine_cache.entries() == []
    assert "crossiqa export" in tensorrt.obstacle(Artefact.open(tiny_onnx))
    assert list((tmp_path / "out").iterdir()) == []


def test_an_engine_that_was_accepted_and_fails_now_leaves_the_cache_too(gpu, tiny_onnx, tmp_path):
    made = exported(tiny_onnx, tmp_path)
    before = made.path.read_bytes()
    gpu.error = 3.0
    with pytest.raises(ArtefactError, match="not accepted"):
        exported(tiny_onnx, tmp_path)
    assert engine_cache.entries() == []
    assert made.path.read_bytes() == before


def test_an_engine_that_was_not_compared_says_nothing_of_how_near_it_is(
    gpu, make_onnx, tmp_path, monkeypatch
):
    monkeypatch.setattr(tensorrt, "find_spec", lambda name: None)  # no bindings to run it with
    made = exported(make_onnx(acceptance={"passed": True, "srcc": 0.5}), tmp_path)
    assert "cuda-bindings" in made.built
    assert Artefact.open(made.path).card.acceptance == {}


def test_of_two_plans_under_one_key_only_the_refused_one_is_forgotten(gpu, tiny_onnx, tmp_path):
    exported(tiny_onnx, tmp_path)
    (entry,) = engine_cache.entries()
    engine_cache.forget(entry.header.key, "0" * 64)
    assert len(engine_cache.entries()) == 1
    engine_cache.forget(entry.header.key, entry.header.plan_sha256)
    engine_cache.forget(entry.header.key, entry.header.plan_sha256)  # gone already
    assert engine_cache.entries() == []


def usable(graph):
    """The engine that the backends would run for ``graph``, if they find one."""
    return engine_cache.find(Artefact.open(graph).sha256, "tensorrt")[0]


def interrupt():
    raise KeyboardInterrupt


def fail():
    raise BackendError("CUDA: out of memory")


def killed():
    raise SystemExit  # what the process would do next does not happen


def test_nobody_finds_an_engine_while_it_is_compared(gpu, tiny_onnx, tmp_path):
    found = []
    gpu.before = lambda: found.append(
        (usable(tiny_onnx), [entry.obstacle for entry in engine_cache.entries()])
    )
    exported(tiny_onnx, tmp_path)
    assert found[0] == (None, ["not compared with the original yet: export it again"])
    assert usable(tiny_onnx) is not None
    assert len(engine_cache.entries()) == 1


def test_what_a_killed_export_left_is_found_by_nobody_until_the_next_one_has_judged_it(
    gpu, tiny_onnx, tmp_path, monkeypatch
):
    gpu.before = killed
    with monkeypatch.context() as dead, pytest.raises(SystemExit):
        dead.setattr(builder, "discard", lambda built, *, refused: None)
        exported(tiny_onnx, tmp_path)
    assert usable(tiny_onnx) is None
    (entry,) = engine_cache.entries()
    assert entry.stale  # `crossiqa engines prune` would take it
    gpu.before = lambda: None
    exported(tiny_onnx, tmp_path)
    assert gpu.built == 1
    assert usable(tiny_onnx).header.card.acceptance["passed"]
    assert len(engine_cache.entries()) == 1


@pytest.mark.parametrize("wrong", [interrupt, fail])
def test_an_engine_whose_comparison_was_cut_off_is_usable_nowhere(gpu, tiny_onnx, tmp_path, wrong):
    gpu.before = wrong
    with pytest.raises((KeyboardInterrupt, BackendError)):
        exported(tiny_onnx, tmp_path)
    assert engine_cache.entries() == []
    assert gpu.closed == 1


@pytest.mark.parametrize("wrong", [interrupt, fail])
def test_an_engine_that_was_accepted_outlives_a_comparison_that_is_cut_off(gpu, tiny_onnx, tmp_path, wrong):
    exported(tiny_onnx, tmp_path)
    gpu.before = wrong
    with pytest.raises((KeyboardInterrupt, BackendError)):
        exported(tiny_onnx, tmp_path)
    assert usable(tiny_onnx).header.card.acceptance["passed"]


@pytest.mark.parametrize("error", [OutputError("no room"), KeyboardInterrupt()])
def test_an_engine_that_could_not_be_copied_out_is_usable_nowhere(
    gpu, tiny_onnx, tmp_path, monkeypatch, error
):
    def write(path, data):
        raise error

    monkeypatch.setattr(builder, "_write", write)
    with pytest.raises(type(error)):
        exported(tiny_onnx, tmp_path)
    assert gpu.built == 1
    assert engine_cache.entries() == []


def test_why_an_engine_was_refused_is_not_hidden_by_the_state_it_is_in(gpu, tiny_onnx, tmp_path, monkeypatch):
    def refused(built, *arguments):
        built.write_bytes(b"something else")
        raise ArtefactError("a score is not finite")

    monkeypatch.setattr(building, "_compared", refused)
    with pytest.raises(ArtefactError, match="a score is not finite"):
        exported(tiny_onnx, tmp_path)
    assert usable(tiny_onnx) is None


def test_an_engine_that_cannot_be_compared_here_can_be_used_once_that_is_said(
    gpu, tiny_onnx, tmp_path, monkeypatch
):
    exported(tiny_onnx, tmp_path)
    kept = usable(tiny_onnx).header.card.acceptance
    with monkeypatch.context() as bare:
        bare.setattr(tensorrt, "find_spec", lambda name: None)
        assert "cuda-bindings" in exported(tiny_onnx, tmp_path).built
    assert usable(tiny_onnx).header.card.acceptance == kept  # what was found of it before


def test_a_build_that_awaits_no_verdict_can_be_used_at_once(gpu, tiny_onnx, tmp_path):
    builder.build(Artefact.open(tiny_onnx), tmp_path / "m.engine", Options(), quiet)
    assert usable(tiny_onnx).header.card.acceptance == {}


def test_an_engine_that_does_not_load_where_it_should_is_an_error(gpu, tiny_onnx, tmp_path, monkeypatch):
    def broken(*arguments, **options):
        raise BackendError("tensorrt does not load this plan; build it again")

    monkeypatch.setattr(tensorrt, "open_backend", broken)
    with pytest.raises(BackendError, match="does not load"):
        exported(tiny_onnx, tmp_path)
    assert list((tmp_path / "out").iterdir()) == []


def test_what_was_judged_is_closed(gpu, tiny_onnx, tmp_path):
    exported(tiny_onnx, tmp_path)
    assert gpu.closed == 1


@pytest.mark.parametrize("name", TARGETS)
def test_only_what_runs_on_a_gpu_may_round_its_factors(name, tiny_onnx, monkeypatch):
    """A float32 artefact for a CPU is held to float32's limits, whoever made it."""
    graph, row = Artefact.open(tiny_onnx), TARGETS[name]
    seen = []
    monkeypatch.setattr(building, "obstacles", lambda artefact: dict.fromkeys([row.backend]))
    monkeypatch.setattr(building, "open_backend", lambda *arguments: SimpleNamespace(infer=None, close=int))
    monkeypatch.setattr(building, "accept", lambda *arguments, **options: seen.append(arguments[3]))
    building._compared(graph.path, graph, row, None, "fp32")
    assert seen == [building.LIMITS["fp16" if name.startswith("tensorrt") else "fp32"]]
