"""Ten splits, each a training of its own from one start; what is there is not made again."""

import csv
import json
from dataclasses import replace

import pytest
from PIL import Image

pytest.importorskip("timm", reason="training needs the train extra")

from crossiqa_edge.bench import ten_splits
from crossiqa_edge.bench.accuracy_rows import FIGURES, TUNED_SPLITS, read
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.model.checkpoint import load, read_tensors
from crossiqa_edge.training.recipe import Source

SMALL = {"view_size": 32, "batch": 2, "steps": 3, "steps_per_epoch": 3, "warmup_steps": 1}


@pytest.fixture
def root(tmp_path, monkeypatch):
    for name in ("photos", "livec"):
        (tmp_path / name).mkdir()
        for seed in range(10):
            Image.fromarray(photo_like(seed, 112, 128)).save(tmp_path / name / f"{seed}.png")
    with (tmp_path / "livec" / "labels.csv").open("w", newline="") as table:
        csv.writer(table).writerows([("file", "mos"), *((f"{seed}.png", 9 * seed) for seed in range(10))])
    start = replace(ten_splits._SYNTHETIC, sources=(Source("population"),), **SMALL)
    monkeypatch.setattr(ten_splits, "_SYNTHETIC", start)
    authentic = replace(ten_splits._AUTHENTIC, hold_out=0.5)
    split = replace(ten_splits._SPLIT, sources=(authentic,), **SMALL)
    monkeypatch.setattr(ten_splits, "_SPLIT", split)
    monkeypatch.setattr(ten_splits, "TEN", 3)
    return tmp_path


def test_the_median_over_splits_is_written_and_trainings_are_kept(root, capsys, monkeypatch):
    out, work = root / "out", root / "work"
    out.mkdir()
    arguments = [
        "--data",
        str(root),
        "--work",
        str(work),
        "--out",
        str(out),
        "--workers",
        "0",
        "--size",
        "micro",
    ]
    assert ten_splits.main(arguments) == 0
    (row,) = read(out / FIGURES)
    assert (row["kind"], row["splits"], row["corpus"]) == (TUNED_SPLITS, 3, "authentic")
    low, high = row["quartiles"]
    assert -1 <= low <= row["srcc"] <= high <= 1
    states = {path: path.stat().st_mtime_ns for path in work.glob("micro/*/checkpoint.safetensors")}
    models = {path: path.read_bytes() for path in work.glob("micro/*/model.safetensors")}
    assert len(states) == len(models) == 4
    cards = [load(work / "micro" / f"split-{number}" / "model.safetensors")[1] for number in range(3)]
    assert [card.recipe["splits"]["seed"] for card in cards] == [0, 1, 2]
    state = "micro/split-{}/checkpoint.safetensors"
    facts = [json.loads(read_tensors(work / state.format(number))[1]["facts"]) for number in range(3)]
    assert {fact["start weights"] for fact in facts} == {
        load(work / "micro/start/model.safetensors")[1].identity
    }
    assert ten_splits.main(arguments) == 0
    assert states == {path: path.stat().st_mtime_ns for path in states}
    assert models == {path: path.read_bytes() for path in models}
    assert [again["srcc"] for again in read(out / FIGURES)] == [row["srcc"]] * 2
    monkeypatch.setattr(ten_splits, "_SPLIT", replace(ten_splits._SPLIT, learning_rate=2e-3))
    assert ten_splits.main(arguments) == 2  # and what another recipe made is not taken for this one's
    assert "belongs to another recipe" in capsys.readouterr().err
    assert (
        ten_splits.main(["--data", str(root / "no"), *arguments[2:3], str(root / "other"), *arguments[4:]])
        == 2
    )
    assert "no" in capsys.readouterr().err
