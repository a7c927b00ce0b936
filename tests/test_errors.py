"""Errors keep their one line when they come back from another process."""

from __future__ import annotations

import pickle

import pytest

from crossiqa_edge import errors
from crossiqa_edge.errors import CrossIQAError, MissingDependencyError

SAMPLES = [
    kind("purpose", "train") if kind is MissingDependencyError else kind("what, where; remedy")
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, CrossIQAError)
]


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_errors_travel_between_processes(error: CrossIQAError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert "\n" not in str(error)


def test_a_missing_dependency_names_the_extra_that_brings_it() -> None:
    assert "pip install 'crossiqa-edge[train]'" in str(MissingDependencyError("training", "train"))
