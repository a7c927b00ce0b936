"""``Result``: its JSON object and its order."""

from __future__ import annotations

import pytest

from crossiqa_edge.errors import InputError
from crossiqa_edge.report.result import Result, worst_first
from crossiqa_edge.score import Score


def scored(path: str, value: float) -> Result:
    return Result(path, path, Score(value, None, (value,), "model", "backend"))


def failed(path: str) -> Result:
    return Result(path, None, InputError(f"{path}: damaged"))


def test_scored_and_failed_pictures_have_objects_of_their_own() -> None:
    assert scored("a.png", 12.345).to_dict() == {
        "path": "a.png",
        "score": 12.35,
        "quality": "bad",
        "interval": None,
        "percentile": None,
        "reference": None,
        "flags": [],
        "raw": [12.345],
        "views": 1,
        "model": "model",
        "backend": "backend",
        "timings_ms": {},
    }
    assert failed("a.png").to_dict() == {"path": "a.png", "error": "damaged"}


@pytest.mark.parametrize("message", ["-: damaged", "<bytes>: damaged", "damaged"])
def test_an_error_does_not_repeat_the_path(message: str) -> None:
    assert Result("-", b"", InputError(message)).error == "damaged"


def test_worst_comes_first_and_failures_last() -> None:
    results = [failed("x"), scored("a", 50), scored("b", 100), failed("y"), scored("c", 0)]
    assert [result.path for result in worst_first(results)] == ["c", "a", "b", "x", "y"]
