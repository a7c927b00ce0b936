"""Which backend is chosen, and the reason given."""

import sys
from types import ModuleType

import pytest

from crossiqa_edge.card import CARD_KEY, ModelCard
from crossiqa_edge.errors import ArtefactError, BackendError, ConfigError
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.select import BACKENDS, open_backend


@pytest.fixture
def artefact(tiny_onnx):
    return Artefact.open(tiny_onnx)


@pytest.fixture
def picky(monkeypatch):
    """A backend of higher rank than onnxruntime that cannot run here."""
    module = ModuleType("picky_backend")
    module.obstacle = lambda artefact: "no such accelerator"
    monkeypatch.setitem(sys.modules, "picky_backend", module)
    monkeypatch.setattr("crossiqa_edge.runtime.select.BACKENDS", {"picky": "picky_backend", **BACKENDS})
    return module


def test_auto_gives_the_reason(artefact):
    backend = open_backend(artefact)
    assert (backend.name, backend.reason) == ("onnxruntime", "onnxruntime runs this onnx file here")


def test_auto_says_what_it_passed_over_and_why(artefact, picky):
    backend = open_backend(artefact)
    assert backend.name == "onnxruntime"
    assert backend.reason.startswith("not picky: no such accelerator; ")


def test_auto_takes_the_first_without_an_obstacle(artefact, picky):
    opened = object()
    picky.obstacle = lambda artefact: None
    picky.open_backend = lambda artefact, *, threads, reason: (opened, threads)
    assert open_backend(artefact, threads=3) == (opened, 3)


def test_by_name(artefact):
    assert open_backend(artefact, "onnxruntime").reason == "asked for by name"


def test_an_unknown_name_lists_the_known_ones(artefact):
    with pytest.raises(ConfigError, match="unknown backend 'cuda'; choose from auto, onnxruntime"):
        open_backend(artefact, "cuda")


def test_one_asked_for_that_cannot_run_is_not_replaced(artefact, picky):
    with pytest.raises(BackendError, match="no such accelerator"):
        open_backend(artefact, "picky")


def test_where_none_can_run_all_reasons_are_given(artefact, monkeypatch):
    monkeypatch.setattr("crossiqa_edge.runtime.ort.find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"no backend can run it here.*not installed"):
        open_backend(artefact)


def test_threads_must_be_positive(artefact):
    with pytest.raises(ConfigError, match="threads must be at least 1, not 0"):
        open_backend(artefact, threads=0)


def test_bare_weights_are_sent_to_export(tmp_path):
    save = pytest.importorskip("safetensors.numpy").save
    path = tmp_path / "w.safetensors"
    path.write_bytes(save({}, metadata={CARD_KEY: ModelCard("w", "nano").to_json()}))
    with pytest.raises(ArtefactError, match=r"crossiqa export .*w\.safetensors -o .*w\.onnx"):
        open_backend(Artefact.open(path))
