"""The memory of measured speeds: found again for the same things only, and never in the way."""

import json
from pathlib import Path

import pytest

from crossiqa_edge.runtime import speeds
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.speeds import Speed, recall, remember

MEASURED = {"one": Speed(120.5, 12.25), "two": None}


@pytest.fixture
def artefact(tiny_onnx):
    return Artefact.open(tiny_onnx)


@pytest.fixture
def file(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "crossiqa" / "speeds.json"


def test_what_is_remembered_is_recalled(artefact, file):
    assert recall(artefact, None) == {}
    remember(artefact, None, MEASURED)
    assert file.is_file()
    assert recall(artefact, None) == MEASURED


def test_it_holds_for_nothing_else(artefact, file, make_onnx, monkeypatch):
    remember(artefact, None, MEASURED)
    assert recall(artefact, 1) == {}
    assert recall(Artefact.open(make_onnx(name="another")), None) == {}
    with monkeypatch.context() as patch:
        patch.setattr(speeds, "processor", lambda: ("another CPU", 2, ()))
        assert recall(artefact, None) == {}
    with monkeypatch.context() as patch:
        patch.setattr(speeds, "_version", lambda name: "99")
        assert recall(artefact, None) == {}
    assert recall(artefact, None) == MEASURED


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "null",
        lambda text: text.replace('"format": 1', '"format": 2'),
        lambda text: text.replace("120.5", '"fast"'),
        lambda text: text.replace("12.25", "NaN"),
        lambda text: json.dumps({"format": 1, "entries": 3}),
        lambda text: "[" * 100_000,
        lambda text: "\udcff",
    ],
)
def test_a_damaged_file_is_as_none_and_is_mended(artefact, file, damage):
    remember(artefact, None, MEASURED)
    file.write_bytes(damage(file.read_text()).encode(errors="surrogateescape"))
    assert recall(artefact, None).get("one") is None
    remember(artefact, None, MEASURED)
    assert recall(artefact, None) == MEASURED


def test_where_it_cannot_be_written_it_is_forgotten(artefact, file):
    file.parent.parent.mkdir()
    file.parent.write_text("a file where the folder should be")
    remember(artefact, None, MEASURED)
    assert recall(artefact, None) == {}


def test_it_does_not_grow_for_ever(artefact, file):
    for threads in range(1, 70):
        remember(artefact, threads, MEASURED)
    assert len(json.loads(file.read_text())["entries"]) == 64
    assert recall(artefact, 1) == {}
    assert recall(artefact, 69) == MEASURED
