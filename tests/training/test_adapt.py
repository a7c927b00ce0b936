"""A head for one's own opinions: what it learns, what its file and card say, and what is refused."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from own_pictures import make_pictures, write_table, write_weights
from PIL import Image

from crossiqa_edge.errors import ConfigError, DatasetError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import sample
from crossiqa_edge.model.checkpoint import load, save_model
from crossiqa_edge.training import feature_cache
from crossiqa_edge.training.adapt import Adapted, adapt
from crossiqa_edge.training.frozen import Head, fit_head, out_of_fold
from crossiqa_edge.training.metrics import srcc
from crossiqa_edge.training.own_table import read_own_table


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures, and two that are none."""
    folder = tmp_path_factory.mktemp("own")
    rows = make_pictures(folder)
    (folder / "broken.png").write_bytes(b"no picture")
    return write_table(folder / "mine.csv", [*rows, ("broken.png", 3.0), ("gone.png", 2.0)])


@pytest.fixture(scope="module")
def adapted(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Adapted:
    torch.set_num_threads(1)
    start = write_weights(tmp_path_factory.mktemp("run") / "micro.safetensors")
    model, card = load(start)
    save_model(model, replace(card, acceptance={"passed": True, "views": 200}), start)
    return adapt(table, start, start.parent / "out", workers=1)


def test_it_learns_what_the_start_did_not_know(adapted: Adapted) -> None:
    assert adapted.judged.fitted.n == 60
    assert adapted.judged.fitted.srcc > 0.8
    assert np.isnan(adapted.judged.start.srcc)  # a head of zeros says the same of every picture
    assert adapted.curve.sizes == (25, 48)
    assert adapted.curve.median[-1] > 0.8
    assert set(adapted.skipped) == {"broken.png", "gone.png"}


def test_the_model_scores_as_its_head_and_calibration_say(adapted: Adapted, table: Path) -> None:
    model, card = load(adapted.path)
    owned = read_own_table(table)
    present = [item for item in owned.quality_set.samples if item.key != "broken.png"]
    views = np.concatenate([sample(item.load(), size=112) for item in present])
    with torch.inference_mode():
        scores = model(torch.from_numpy(views)).numpy()
    opinions = 100 * np.array([item.score for item in present])
    assert srcc(scores, opinions) > 0.9  # fitted to these very pictures
    assert np.abs(scores - opinions).mean() < 15
    # the scores of held-out folds are near those of the head that was fitted to all
    assert np.abs(scores - adapted.judged.scores).mean() < 10
    inside = [
        card.interval(float(s))[0] <= o <= card.interval(float(s))[1]
        for s, o in zip(scores, opinions, strict=True)
    ]
    assert np.mean(inside) >= 0.85


def test_only_the_head_has_changed(adapted: Adapted) -> None:
    before, _ = load(adapted.path.parents[1] / "micro.safetensors")
    after, _ = load(adapted.path)
    changed = {
        name
        for name, value in after.state_dict().items()
        if not torch.equal(value, before.state_dict()[name])
    }
    assert changed == {"head.weight", "head.bias"}


def test_the_card_says_how_it_was_made(adapted: Adapted) -> None:
    card = adapted.card
    assert card.name == "micro-mine"
    assert card.training_data[-1] == "mine, 60 pictures (head alone, encoder frozen)"
    assert list(card.accuracy) == ["mine, 10 folds"]  # the start's own figures hold no more,
    assert card.acceptance == {}  # nor does what its scores were compared with
    assert set(card.accuracy["mine, 10 folds"]) == {"SRCC", "PLCC", "interval coverage", "pictures"}
    assert card.accuracy["mine, 10 folds"]["pictures"] == 60
    json.dumps(json.loads(card.to_json()), allow_nan=False)
    own = card.recipe["own data"]
    assert (own["encoder"], own["scale"], own["start"][:6]) == ("frozen", [1.0, 5.0], "micro@")
    assert own["learning_curve"]["pictures"] == [25, 48]
    assert (card.reference_set, len(card.reference_scores)) == ("mine, 60 pictures", 101)
    assert (len(card.interval_half_widths), card.interval_half_width) != (0, 10.0)


def test_report_and_curve_are_written(adapted: Adapted) -> None:
    report = json.loads((adapted.path.parent / "report.json").read_text())
    assert report["model"] == adapted.card.identity and report["pictures"] == 60
    assert report["fitted"]["srcc"] == pytest.approx(adapted.judged.fitted.srcc, abs=1e-4)
    assert report["start"]["srcc"] is None
    assert len(report["learning_curve"]["srcc_median"]) == 2
    with Image.open(adapted.path.parent / "learning_curve.png") as curve:
        assert curve.format == "PNG" and curve.width > 400


def test_features_are_computed_once_and_again_for_a_picture_that_changed(
    adapted: Adapted, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(source: Path) -> np.ndarray:
        read.append(source.name)
        return decode(source)

    monkeypatch.setattr(feature_cache, "decode", counted)
    start, out = adapted.path.parents[1] / "micro.safetensors", adapted.path.parent
    again = adapt(table, start, out, workers=1)
    assert read == ["broken.png"]
    assert again.card.weights_sha256 == adapted.card.weights_sha256
    os.utime(table.parent / "7.png", (1, 1))
    adapt(table, start, out, workers=1)
    assert sorted(read[1:]) == ["7.png", "broken.png"]
    (cached,) = out.glob("features-*.npz")
    cached.write_bytes(cached.read_bytes()[:1000])
    adapt(table, start, out, workers=1)
    assert len(read) == 3 + 61


def test_few_opinions_keep_the_start_and_many_replace_it() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(600, 1, 40)).astype(np.float32)
    truth, start = generator.normal(size=40), Head(generator.normal(size=40), 0.2)
    rows = [(index, 0.5) for index in range(600)]

    def labelled(opinions: np.ndarray) -> object:
        from crossiqa_edge.data.datasets.base import QualitySet, Sample

        samples = tuple(
            Sample(str(i), float(o), str(i), lambda: np.zeros(1))
            for (i, _), o in zip(rows, opinions, strict=True)
        )
        return QualitySet("made", samples, (0, 1))

    # opinions that the start knows already, on another scale: twenty are enough to find the scale
    known = labelled(3 * start(features)[:, 0] - 1)
    few = type(known)(known.name, known.samples[:20], (0, 1))
    head = fit_head(features[:20], few, start)
    assert head(features)[:, 0] == pytest.approx(known.scores, abs=0.05)
    # opinions that it does not know: held-out folds tell
    other = labelled(features[:, 0] @ truth)
    assert srcc(out_of_fold(features, other, start)[:, 0], other.scores) > 0.98
    assert abs(srcc(start(features)[:, 0], other.scores)) < 0.6
    # opinions without rhyme or reason: a fold that had a part in its own head would tell
    chance = labelled(generator.normal(size=600))
    assert abs(srcc(out_of_fold(features, chance, start)[:, 0], chance.scores)) < 0.2


def test_a_name_that_no_card_can_hold_is_refused_before_the_work(
    table: Path, adapted: Adapted, tmp_path: Path
) -> None:
    for name in ("a\nb", "a\u202eb", "n" * 10_000):
        with pytest.raises(ConfigError, match="cannot be kept with a model"):
            adapt(table, adapted.path.parents[1] / "micro.safetensors", tmp_path / "out", name=name)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [(f"{index}.png", 1 + index / 10) for index in range(29)],
            "29 pictures can be used, 30 are the least",
        ),
        ([(f"{index}.png", 1 + index / 20, index % 5) for index in range(60)], "5 different contents"),
        ([*((f"{index}.png", 3) for index in range(60)), ("gone.png", 2)], "the 60 pictures .* no order"),
        ([*((f"{index}.png", 3) for index in range(60)), ("broken.png", 2)], "the 60 pictures .* no order"),
        ([(f"{i}.png", opinion) for i in range(40) for opinion in (2, 4)], "the 40 pictures .* no order"),
    ],
)
def test_too_little_is_refused(
    table: Path, adapted: Adapted, tmp_path: Path, rows: list[tuple[object, ...]], message: str
) -> None:
    header = "file,mos,reference" if len(rows[0]) == 3 else "file,mos"
    few = write_table(table.parent / "few.csv", rows, header)
    with pytest.raises(DatasetError, match=message):
        adapt(few, adapted.path.parents[1] / "micro.safetensors", tmp_path / "out", cache=adapted.path.parent)
    assert not (tmp_path / "out").exists()
