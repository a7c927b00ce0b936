"""`crossiqa train` without a recipe: a table of opinions in, a model out; a reference set for its card."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from own_pictures import make_pictures, write_table, write_weights

from crossiqa_edge.model.checkpoint import load
from crossiqa_edge.weights import find

Crossiqa = Callable[..., Any]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "own" / "mine.csv", make_pictures(tmp_path / "own", 40))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_weights(tmp_path / "micro.safetensors")


def test_from_a_table_to_a_score_with_interval_and_percentile(
    crossiqa: Crossiqa, table: Path, weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    table.write_text(table.read_text() + "\ngone.png,3")
    done = crossiqa(
        *("train", "finetune", "--data", table, "--from", weights, "--out", out, "--threads", 1),
        *("--name", "mine", "--onnx"),
    )
    assert done.code == 1  # one picture was left out
    assert done.out.split() == [str(out / "model.safetensors"), str(out / "model.onnx")]
    for part in (
        "gone.png: left out",
        "scale from 1 (worst) to 5 (best)",
        "mine on 40 pictures, each held out: SRCC",
        "coverage",
    ):
        assert part in done.err
    assert {path.name for path in out.iterdir()} >= {"report.json", "learning_curve.png"}
    (scored,) = json.loads(
        crossiqa("score", "--json", "--model", out / "model.onnx", table.parent / "0.png").out
    )
    assert scored["model"].startswith("mine@")
    assert scored["reference"] == "mine, 40 pictures" and 0 <= scored["percentile"] <= 100
    assert scored["interval"][0] <= scored["score"] <= scored["interval"][1]


def test_a_reference_set_goes_into_the_card_and_nothing_else_changes(
    crossiqa: Crossiqa, table: Path, weights: Path, tmp_path: Path
) -> None:
    def spread(model: Any) -> None:
        torch.nn.init.normal_(model.head.weight, std=0.1)

    write_weights(weights, spread)
    out = tmp_path / "with.safetensors"
    done = crossiqa("train", "reference", weights, table.parent, "--name", "R & D", "--out", out)
    assert (done.code, done.out.strip()) == (0, str(out))
    assert "percentiles against 40 pictures of R & D" in done.err
    (_, before), (_, after) = load(weights), load(out)
    assert after.reference_set == "R & D" and len(set(after.reference_scores)) > 10
    assert replace(after, reference_set="", reference_scores=()) == before
    assert crossiqa("train", "reference", out, table.parent, "--name", "again").code == 0
    assert load(out)[1].reference_set == "again"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nosuch.csv"], "cannot be read"),
        (["--data", "{table}", "--scale", "1-5"], "WORST,BEST"),
        (["--data", "{table}", "--scale", "5,5"], "the same"),
        (["--data", "{table}", "--scale", "1,inf"], "two finite numbers"),
        (["--data", "{table}", "--scale", "nan,5"], "two finite numbers"),
        (["--data", "{table}", "--name", "a\nb"], "cannot be kept with a model"),
        (["--data", "{table}", "--scale", "1,2"], "outside the scale"),
        (["--data", "{table}", "--set", "steps=1"], "--set belongs to the long training"),
        (["--data", "{table}", "--linear-probe"], "--linear-probe belongs"),
        (["--data", "{table}", "--data", "{table}"], "one CSV file"),
        (["--data", "population=here"], "NAME=FOLDER needs --recipe"),
        (["--data", "population=here", "--recipe", "nano-finetune", "--scale", "1,5"], "leave it out"),
        (["--data", "{table}", "--from", "nanno"], "did you mean nano"),
    ],
)
def test_wrong_usage_says_what_to_do(
    crossiqa: Crossiqa, table: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    given = [argument.format(table=table) for argument in arguments]
    done = crossiqa("train", "finetune", "--out", tmp_path / "run", *given)
    assert (done.code, done.out) == (2, "")
    assert message in done.err and "Traceback" not in done.err
    assert not (tmp_path / "run").exists()


def test_a_shipped_model_stays_as_it_is(crossiqa: Crossiqa, table: Path, tmp_path: Path) -> None:
    shipped = find("nano").with_suffix(".safetensors")
    before = shipped.read_bytes()
    done = crossiqa("train", "reference", "nano", table.parent, "--name", "mine")
    assert done.code == 2 and "--out" in done.err
    copy = tmp_path / "mine.safetensors"
    assert crossiqa("train", "reference", "nano", table.parent, "--name", "mine", "--out", copy).code == 0
    assert load(copy)[1].reference_set == "mine"
    assert shipped.read_bytes() == before


def test_a_reference_sets_name_is_one_line(crossiqa: Crossiqa, weights: Path, table: Path) -> None:
    before = weights.read_bytes()
    done = crossiqa("train", "reference", weights, table.parent, "--name", "a\nb")
    assert (done.code, len(done.complaints)) == (2, 1) and "cannot be kept with a model" in done.err
    assert weights.read_bytes() == before


def test_a_few_pictures_are_no_reference_set(crossiqa: Crossiqa, weights: Path, tmp_path: Path) -> None:
    make_pictures(tmp_path / "few", 3)
    done = crossiqa("train", "reference", weights, tmp_path / "few", "--name", "few")
    assert done.code == 2 and "20 are the least" in done.err
    assert load(weights)[1].reference_set == ""
