"""A score knows its word and its JSON, and travels between processes."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import FrozenInstanceError, asdict, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crossiqa_edge.score import FIVE_POINT_SCALE, Score, quality_word

SCORE = Score(
    71.234567, (60.111, 82.345), (70.1234, 72.3456), "nano@0123", "onnxruntime cpu fp32", {"decode": 1.23456}
)
WORDS = ["bad", "poor", "fair", "good", "excellent"]


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (0, "bad"),
        (19.99, "bad"),
        (20, "poor"),
        (40, "fair"),
        (59.99, "fair"),
        (60, "good"),
        (80, "excellent"),
        (100, "excellent"),
    ],
)
def test_words_at_the_five_point_cuts(value: float, word: str) -> None:
    assert quality_word(value) == word
    assert replace(SCORE, value=value).word == word


@given(st.floats(0, 100), st.floats(0, 100))
def test_a_higher_score_has_no_worse_word(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert WORDS.index(quality_word(low)) <= WORDS.index(quality_word(high))
    assert {word for _, word in FIVE_POINT_SCALE} == set(WORDS)


def test_json_has_the_documented_keys_and_rounding() -> None:
    assert json.loads(json.dumps(SCORE.to_dict())) == {
        "score": 71.23,
        "quality": "good",
        "interval": [60.11, 82.34],
        "percentile": None,
        "reference": None,
        "flags": [],
        "raw": [70.123, 72.346],
        "views": 2,
        "model": "nano@0123",
        "backend": "onnxruntime cpu fp32",
        "timings_ms": {"decode": 1.235},
    }
    assert replace(SCORE, interval=None).to_dict()["interval"] is None
    told = replace(SCORE, flags=("tiny", "graphics"), percentile=62.96, reference="LIVE-itW").to_dict()
    assert (told["percentile"], told["reference"], told["flags"]) == (63.0, "LIVE-itW", ["tiny", "graphics"])


@given(st.floats(0, 100))
@example(59.99609375)
def test_the_printed_score_and_the_printed_word_agree(value: float) -> None:
    printed = replace(SCORE, value=value).to_dict()
    assert printed["quality"] == quality_word(printed["score"])


@pytest.mark.parametrize("score", [SCORE, Score(1.0, None, (1.0,), "m", "b")])
def test_scores_travel_between_processes(score: Score) -> None:
    assert pickle.loads(pickle.dumps(score)) == score
    assert copy.deepcopy(score) == score
    assert asdict(score)["value"] == score.value


def test_scores_do_not_change_and_times_do_not_tell_them_apart() -> None:
    with pytest.raises(FrozenInstanceError):
        SCORE.value = 1.0  # type: ignore[misc]
    assert replace(SCORE, timings={}) == SCORE
    assert len({SCORE, replace(SCORE, timings={})}) == 1
