"""Ablations: runs that differ in one thing, resumed by what is in the file, compared seed by seed."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from crossiqa_edge.bench import ablation
from crossiqa_edge.bench.ablation import RUNS, VARIANTS, main
from crossiqa_edge.bench.ablation_table import main as show
from crossiqa_edge.bench.ablation_table import page, table_cells
from crossiqa_edge.bench.jsonl import append, parsed
from crossiqa_edge.card import ModelCard
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.model.checkpoint import load
from crossiqa_edge.training.recipe import Source


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name in ("photos", "livec"):
        (folder / name).mkdir()
        for seed in range(10):
            Image.fromarray(photo_like(seed, 112, 128)).save(folder / name / f"{seed}.png")
    with (folder / "livec" / "labels.csv").open("w", newline="") as table:
        csv.writer(table).writerows([("file", "mos"), *((f"{seed}.png", 9 * seed) for seed in range(10))])
    return folder


@pytest.fixture
def small(monkeypatch):
    """Recipes of a size for tests, and two of the variants: the first and one with a pretext."""
    shrink = {
        "size": "micro",
        "view_size": 32,
        "batch": 2,
        "steps": 2,
        "steps_per_epoch": 2,
        "warmup_steps": 1,
    }
    sources = (Source("population"), Source("folder", hold_out=0.3, name="LIVE"))
    monkeypatch.setattr(ablation, "_PRETEXT", replace(ablation._PRETEXT, **shrink))
    monkeypatch.setattr(ablation, "_OPINION", replace(ablation._OPINION, sources=sources, **shrink))
    chosen = (VARIANTS[0], next(item for item in VARIANTS if item.name == "straight reconstruction only"))
    monkeypatch.setattr(ablation, "VARIANTS", chosen)
    return chosen


def test_runs_are_written_one_by_one_and_not_repeated(root, small, tmp_path, capsys):
    out = tmp_path / "results"
    arguments = ["--data", str(root), "--work", str(tmp_path / "work"), "--out", str(out), "--workers", "0"]
    assert main([*arguments, "--seeds", "1"]) == 0
    rows = [row for _, row in parsed(out / RUNS)]
    assert [row["variant"] for row in rows] == [item.name for item in small]
    assert [row["pretext_views"] for row in rows] == [0, 16]
    assert set(rows[0]["srcc"]) == {"population MOS", "LIVE"}
    assert main([*arguments, "--seeds", "2"]) == 0
    assert [row["seed"] for _, row in parsed(out / RUNS)] == [0, 0, 1, 1]
    _, card = load(tmp_path / "work" / "run" / "opinion" / "model.safetensors")
    assert [card.recipe[stage]["seed"] for stage in ("pretrain", "ablation")] == [1, 1]
    assert main(["--data", str(tmp_path / "absent"), *arguments[2:], "--seeds", "3"]) == 2
    assert "absent" in capsys.readouterr().err


def test_each_variant_differs_from_another_one_in_one_thing():
    known = {item.name: item for item in VARIANTS}
    assert len(known) == len(VARIANTS)
    for item in VARIANTS[1:]:
        other = known[item.against]
        started = (item.pretext is None) != (other.pretext is None)
        changed = set((item.pretext or {}).items()) ^ set((other.pretext or {}).items())
        network = item.network is not other.network
        assert started + network + len(changed) + len(item.opinion) - len(other.opinion) == 1, item.name


def test_mean_pooling_reads_every_patch_and_not_the_class_token():
    torch.manual_seed(0)
    network = ablation.MeanPooled(ModelCard("m", "micro"))
    tokens = torch.randn(2, 5, network.encoder.embed_dim)
    network.encoder.forward_features = lambda views: tokens
    features = network.features(torch.zeros(2, 32, 32, 3, dtype=torch.uint8))
    torch.testing.assert_close(features, (tokens[:, 1] + tokens[:, 2] + tokens[:, 3] + tokens[:, 4]) / 4)


def rows_of(variant, *figures):
    return [{"variant": variant, "seed": seed, "srcc": {"LIVE": value}} for seed, value in enumerate(figures)]


def test_the_table_compares_seed_by_seed():
    first, other = VARIANTS[0].name, VARIANTS[1].name
    rows = [*rows_of(first, 0.5, 0.6, 0.9), *rows_of(other, 0.4, 0.52)]
    header, base, changed = table_cells(rows)
    assert header[2:] == ("seeds", "LIVE")
    assert base[2:] == ("3", "0.667")
    # differences -0.10 and -0.08; t(0.975, 1) = 12.706, standard error 0.01
    assert changed[2:] == ("2", "0.460 (-0.090 ± 0.127)")
    assert table_cells(rows[:-1])[2][3] == "0.400 (-0.100)"
    assert table_cells(rows[1:])[2][3] == "0.460 (-0.080)"


def test_a_table_of_nothing_is_refused(tmp_path, capsys):
    append(tmp_path / RUNS, *rows_of("a variant of long ago", 0.5))
    assert show([str(tmp_path)]) == 2
    assert "no run" in capsys.readouterr().err
    append(tmp_path / RUNS, *rows_of(VARIANTS[0].name, 0.5))
    assert show([str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("| variant")


def test_the_documents_table_is_that_of_the_stored_runs():
    root = Path(__file__).parents[2]
    assert page(root / "bench" / "results" / "ablation") in (root / "docs" / "training.md").read_text()
