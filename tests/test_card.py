"""Cards come back as they were written, and what is no card of ours is refused in one line."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossiqa_edge.card import CARD_FORMAT, ModelCard
from crossiqa_edge.errors import ArtefactError

CARD = ModelCard(
    name="nano",
    size="nano",
    calibration=(3.5, -1.25),
    interval_half_width=11.5,
    interval_half_widths=(8.0, 14.0, 10.0),
    interval_edges=(30.0, 60.0),
    reference_set="LIVE-itW",
    reference_scores=(10.0, 40.0, 40.0, 50.0, 90.0),
    training_data=("population MOS", "LIVE-itW"),
    accuracy={"TID2013": {"srcc": 0.81}},
    recipe={"name": "nano", "seed": 1},
    weights_sha256="0123456789abcdef" * 4,
    opset=18,
    package_version="0.1.0",
)
WORD = st.text(st.characters(categories=["L", "N", "P"]), max_size=30)
NUMBER = st.floats(-1e5, 1e5)
CARDS = st.builds(
    ModelCard,
    name=WORD,
    size=WORD,
    view_size=st.integers(16, 1024),
    sampling=st.sampled_from(["fragments", "crops"]),
    mean=st.tuples(NUMBER, NUMBER, NUMBER),
    calibration=st.tuples(NUMBER, NUMBER),
    interval_half_width=st.none() | st.floats(0, 100),
    training_data=st.lists(WORD, max_size=3).map(tuple),
    accuracy=st.dictionaries(WORD, st.dictionaries(WORD, st.floats(-1, 1), max_size=2), max_size=2),
    opset=st.none() | st.integers(1, 30),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def refusal(text: str) -> str:
    with pytest.raises(ArtefactError) as caught:
        ModelCard.from_json(text, "x.onnx")
    assert str(caught.value).startswith("x.onnx: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@settings(max_examples=40)
@given(CARDS)
def test_round_trip(card: ModelCard) -> None:
    assert ModelCard.from_json(card.to_json()) == card


def test_keys_keep_the_order_of_the_attributes() -> None:
    assert list(json.loads(CARD.to_json())) == [item.name for item in fields(ModelCard)]


def test_identity_tells_generations_apart() -> None:
    assert CARD.identity == "nano@0123456789ab"
    assert ModelCard("n", "nano").identity == "n@unhashed"


@pytest.mark.parametrize(
    ("score", "interval"),
    [
        (5.0, (0.0, 13.0)),
        (29.9, (21.9, 37.9)),
        (30.0, (16.0, 44.0)),
        (60.0, (50.0, 70.0)),
        (95.0, (85.0, 100.0)),
    ],
)
def test_the_interval_is_that_of_the_region(score: float, interval: tuple[float, float]) -> None:
    assert CARD.interval(score) == pytest.approx(interval)


def test_cards_without_regions_or_reference() -> None:
    old = ModelCard("n", "nano", interval_half_width=10.0)
    assert old.interval(95.0) == (85.0, 100.0)
    assert (ModelCard("n", "nano").interval(50.0), old.percentile(50.0)) == (None, None)
    values = asdict(old)
    for key in ("interval_half_widths", "interval_edges", "reference_set", "reference_scores"):
        del values[key]  # as a card was written before there were any
    assert ModelCard.from_json(json.dumps(values)) == old


@pytest.mark.parametrize(
    ("score", "percentile"),
    [
        (9.0, 0.0),
        (10.0, 0.0),
        (25.0, 12.5),
        (39.0, 24.166667),
        (40.0, 50.0),
        (70.0, 87.5),
        (90.0, 100.0),
        (97.0, 100.0),
    ],
)
def test_the_percentile_is_read_between_the_quantiles(score: float, percentile: float) -> None:
    assert CARD.percentile(score) == pytest.approx(percentile)


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "null", "[" * 100_000, '{"format": ' + "9" * 5000 + "}", " " * (2 << 20)]
)
def test_what_is_no_card(text: str) -> None:
    refusal(text)


@pytest.mark.parametrize("version", [None, 0, CARD_FORMAT + 1, "1"])
def test_other_formats_name_the_remedy(version: Any) -> None:
    assert "upgrade" in refusal(json.dumps({**asdict(CARD), "format": version}))


@pytest.mark.parametrize("key", ["name", "size"])
def test_missing_keys(key: str) -> None:
    values = asdict(CARD)
    del values[key]
    assert f"lacks '{key}'" in refusal(json.dumps(values))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", 3),
        ("name", "two\nlines"),
        ("name", "escape\x1b[31m"),
        ("view_size", 8),
        ("view_size", 1025),
        ("view_size", 224.5),
        ("view_size", True),
        ("sampling", "resize"),
        ("mean", [0.5, 0.5]),
        ("mean", [0.5, 0.5, "0.5"]),
        ("std", [0.2, 0.0, 0.2]),
        ("calibration", [float("nan"), 0]),
        ("calibration", [float("inf"), 0]),
        ("interval_half_width", -1),
        ("interval_half_width", 101.0),
        ("interval_half_widths", [8.0, 101.0, 10.0]),
        ("interval_half_widths", [8.0, -1.0, 10.0]),
        ("interval_edges", [60.0, 30.0]),
        ("interval_half_widths", 5),
        ("interval_half_widths", None),
        ("interval_edges", []),  # two too few for three half widths
        ("interval_edges", [30.0]),
        ("interval_edges", [30.0, 60.0, 90.0]),
        ("reference_scores", [50.0]),
        ("reference_scores", [50.0, 40.0]),
        ("reference_scores", [50.0, 101.0]),
        ("training_data", "TID2013"),
        ("accuracy", []),
        ("accuracy", {"TID2013": 0.81}),
        ("accuracy", {"TID2013": {"srcc": None}}),
        ("accuracy", {"escape\x1b[31m": {"srcc": 0.81}}),
        ("recipe", []),
        ("quantisation", {"search": "percentile"}),
        ("acceptance", {"srcc": 0.99}),  # whether that was enough is not said
        ("acceptance", {"passed": "yes"}),
        ("acceptance", {"passed": True, "srcc": "high"}),
        ("acceptance", {"passed": True, "limits": [0.99]}),
        ("acceptance", {"passed": True, "limits": {"srcc": "high"}}),
        ("opset", 0),
        ("opset", 1001),
        ("opset", "18"),
    ],
)
def test_values_of_a_wrong_type_or_range(key: str, value: Any) -> None:
    assert f"bad '{key}'" in refusal(json.dumps({**asdict(CARD), key: value}))


@pytest.mark.parametrize("key", ["recipe", "quantisation"])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a": ', "}")], ids=["lists", "objects"])
def test_values_that_python_could_read_but_not_copy(key: str, opening: str, closing: str) -> None:
    deep = f'{{"a": {opening * 500}0{closing * 500}}}'
    text = json.dumps({**asdict(CARD), key: "deep"}).replace('"deep"', deep)
    assert f"bad '{key}'" in refusal(text)


EVERY_KIND = [None, True, 0, -1.5, 10**400, "", "x", [], [1], [None], [[]], {}, {"a": 1}, {"a": {"b": []}}]


@pytest.mark.parametrize("order", [list, reversed], ids=["as written", "back to front"])
@pytest.mark.parametrize("key", [item.name for item in fields(ModelCard)])
def test_every_key_with_every_kind_of_value_in_any_order_is_a_card_or_our_own_error(
    key: str, order: Any
) -> None:
    for value in EVERY_KIND:
        values = {**asdict(CARD), key: value}
        try:
            card = ModelCard.from_json(json.dumps({name: values[name] for name in order(list(values))}))
        except ArtefactError:
            continue
        assert ModelCard.from_json(card.to_json()) == card
        card.interval(50.0)
        card.percentile(50.0)


def test_keys_of_the_future_are_passed_over() -> None:
    assert ModelCard.from_json(json.dumps({**asdict(CARD), "flavour": "new"})) == CARD


@settings(max_examples=60)
@given(st.sampled_from([item.name for item in fields(ModelCard)]), JSON)
def test_any_json_in_any_place_is_a_card_or_our_own_error(key: str, value: Any) -> None:
    try:
        card = ModelCard.from_json(json.dumps({**asdict(CARD), key: value}))
    except ArtefactError:
        return
    assert card.identity.isprintable()
    assert ModelCard.from_json(card.to_json()).identity == card.identity
