"""Plans: one command from random weights to a model, stage by stage, each made once."""

import csv
import shutil

import numpy as np
import pytest
from PIL import Image

from crossiqa_edge.errors import ConfigError, DatasetError
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.model.checkpoint import load
from crossiqa_edge.training import teacher
from crossiqa_edge.training.plan import load_plan, packaged_plans, run_plan

SMALL = """
size = "micro"
view_size = 32
batch = 2
steps = 2
steps_per_epoch = 2
warmup_steps = 1
[[sources]]
data = "population"
hold_out = 0.3
[[sources]]
data = "folder"
hold_out = 0.3
name = "judged"
[[stages]]
name = "pretext"
verb = "pretrain"
[[stages]]
name = "first"
verb = "finetune"
from = "pretext"
[[stages]]
name = "opinions"
verb = "teach"
[[stages]]
name = "second"
verb = "finetune"
from = "first"
[stages.recipe]
steps = 3
sources = [{data = "folder", hold_out = 0.3}, {data = "folder", place = "taught", hold_out = 0.0}]
[[stages]]
name = "mean"
verb = "average"
from = ["first", "second"]
"""


@pytest.fixture
def plan_file(tmp_path):
    def write(text=SMALL):
        path = tmp_path / "small.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def roots(photos, tmp_path, monkeypatch):
    """Photographs and a judged folder; the teacher is one that sees brightness alone."""
    folder = tmp_path / "judged"
    folder.mkdir()
    rows = [("file", "mos")]
    for seed in range(8):
        Image.fromarray(photo_like(seed, 64, 64)).save(folder / f"{seed}.png")
        rows.append((f"{seed}.png", 10 * seed))
    with (folder / "labels.csv").open("w", newline="") as table:
        csv.writer(table).writerows(rows)
    monkeypatch.setattr(
        teacher, "efficientnet_lite0", lambda: lambda frame: np.array([frame.mean()], np.float32)
    )
    return {"population": photos, "folder": folder}


def test_a_plan_makes_every_stage_once(plan_file, roots, tmp_path, alone):
    plan = load_plan(plan_file())
    out = tmp_path / "run"
    path = run_plan(plan, roots, out, alone, name="made", workers=0)
    assert path == out / "mean" / "model.safetensors"
    _, card = load(path)
    assert card.name == "made"
    assert list(card.recipe) == ["pretrain", "small-first", "small-second", "average", "small-mean"]
    assert card.recipe["small-second"]["steps"] == 3
    assert len(list((out / "opinions").glob("*.png"))) > 0
    made = {file: file.stat().st_mtime_ns for file in out.glob("*/*.safetensors")}
    (out / "mean" / "model.safetensors").unlink()
    assert run_plan(plan, roots, out, alone, name="made", workers=0) == path
    again = {file: file.stat().st_mtime_ns for file in out.glob("*/*.safetensors")}
    assert [file for file in made if made[file] != again[file]] == [path]


def test_the_same_plan_makes_the_same_weights(plan_file, roots, tmp_path, alone):
    plan = load_plan(plan_file())
    first, second = (
        run_plan(plan, roots, tmp_path / name, alone, workers=0).read_bytes() for name in ("one", "two")
    )
    assert first == second
    other = run_plan(load_plan(plan_file(), {"seed": 1}), roots, tmp_path / "three", alone, workers=0)
    assert other.read_bytes() != first


def test_overrides_win_over_a_stages_own_values(plan_file):
    assert {stage.recipe.steps for stage in load_plan(plan_file(), {"steps": 9})} == {9}


def test_a_folder_keeps_to_its_plan(plan_file, roots, tmp_path, alone):
    plan = load_plan(plan_file())[:1]
    run_plan(plan, roots, tmp_path / "run", alone, workers=0)
    changed = load_plan(plan_file(), {"steps": 3})[:1]
    with pytest.raises(ConfigError, match="another plan"):
        run_plan(changed, roots, tmp_path / "run", alone, workers=0)
    path = run_plan(changed, roots, tmp_path / "run", alone, workers=0, restart=True)
    assert load(path)[1].recipe["pretrain"]["steps"] == 3


def test_what_is_missing_is_named(plan_file, roots, tmp_path, alone):
    plan = load_plan(plan_file())
    with pytest.raises(ConfigError, match="population=FOLDER"):
        run_plan(plan, {"folder": roots["folder"]}, tmp_path / "a", alone, workers=0)
    with pytest.raises(DatasetError):
        run_plan(plan, {**roots, "population": tmp_path / "nowhere"}, tmp_path / "b", alone, workers=0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("steps = 2", "at least one"),
        ('[[stages]]\nname = "a"\nverb = "guess"', "verb is pretrain, finetune"),
        ('[[stages]]\nname = "a"\nverb = "finetune"\nfrom = "b"', "makes no weights before it"),
        ('[[stages]]\nname = "a b"\nverb = "pretrain"', "one word"),
        ('[[stages]]\nname = "a"\nverb = "pretrain"\nrecipes = {}', "unknown key 'recipes'"),
        ('[[stages]]\nname = "a"\nverb = "pretrain"\n[stages.recipe]\nstepz = 1', "did you mean 'steps'"),
        ('stepz = 1\n[[stages]]\nname = "a"\nverb = "pretrain"', "did you mean 'steps'"),
        ('[[stages]]\nname = "a"\nverb = "pretrain"\n' * 2, "of its own"),
        ('[[stages]]\nname = "a"\nverb = "teach"', r"at least one \[\[sources"),
    ],
)
def test_wrong_plans_are_named(plan_file, text, told):
    with pytest.raises(ConfigError, match=told):
        load_plan(plan_file(text))


@pytest.mark.parametrize("name", packaged_plans())
def test_packaged_plans_are_sound(name):
    plan = load_plan(name)
    assert all(stage.recipe.bsds_test_apart and stage.recipe.size == name for stage in plan)


def test_an_unknown_plan_lists_the_packaged_ones():
    with pytest.raises(ConfigError, match="packaged ones are nano"):
        load_plan("no-such-plan")


def interrupted(*args, **kwargs):
    raise KeyboardInterrupt


def test_an_interrupted_restart_hands_out_nothing_of_the_plan_before(
    plan_file, roots, tmp_path, alone, monkeypatch
):
    out = tmp_path / "run"
    run_plan(load_plan(plan_file()), roots, out, alone, workers=0)
    changed = load_plan(plan_file(), {"seed": 1})
    with monkeypatch.context() as patched:
        patched.setattr("crossiqa_edge.training.plan.pretrain", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_plan(changed, roots, out, alone, workers=0, restart=True)
    left = [file.name for pattern in ("*.safetensors", "labels.csv", "0*.png") for file in out.rglob(pattern)]
    assert left == []
    path = run_plan(changed, roots, out, alone, workers=0)
    fresh = run_plan(changed, roots, tmp_path / "fresh", alone, workers=0)
    _, card = load(path)
    assert {card.recipe[name]["seed"] for name in ("pretrain", "small-first", "small-second")} == {1}
    assert path.read_bytes() == fresh.read_bytes()
    table = "opinions/labels.csv"
    assert (out / table).read_text() == (tmp_path / "fresh" / table).read_text()


def test_a_restart_takes_no_result_of_another_verb(plan_file, roots, tmp_path, alone):
    """An older plan has fine-tuned under the name of what is a pre-training now: the latter counts."""
    source = '[[sources]]\ndata = "population"\nhold_out = 0.3\n'
    settings = SMALL[: SMALL.index("[[sources]]")] + source
    stage = '[[stages]]\nname = "first"\nverb = "{}"\n'
    second = '[[stages]]\nname = "second"\nverb = "finetune"\nfrom = "first"\n'
    before = load_plan(plan_file(settings + stage.format("finetune")))
    after = load_plan(plan_file(settings + stage.format("pretrain") + second))
    run_plan(before, roots, tmp_path / "run", alone, workers=0)
    path = run_plan(after, roots, tmp_path / "run", alone, workers=0, restart=True)
    assert list(load(path)[1].recipe) == ["pretrain", "small-second"]


@pytest.mark.parametrize(
    ("kept", "told"), [("{", "damaged"), ("[1]", "damaged"), ('[{"name": "../x"}]', "proper name")]
)
def test_a_restart_removes_nothing_by_a_plan_it_cannot_read(plan_file, roots, tmp_path, alone, kept, told):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "plan.json").write_text(kept)
    with pytest.raises(ConfigError, match=told):
        run_plan(load_plan(plan_file()), roots, tmp_path / "run", alone, workers=0, restart=True)


def test_a_name_that_no_card_can_hold_is_told_before_any_work(plan_file, roots, tmp_path, alone):
    with pytest.raises(ConfigError, match="name"):
        run_plan(load_plan(plan_file()), roots, tmp_path / "run", alone, name="a\nb", workers=0)
    assert not (tmp_path / "run").exists()


def test_a_folder_keeps_to_its_data(plan_file, roots, tmp_path, alone):
    plan, out = load_plan(plan_file())[:2], tmp_path / "run"
    made = run_plan(plan, roots, out, alone, workers=0).read_bytes()
    moved = shutil.copytree(roots["population"], tmp_path / "elsewhere")
    run_plan(plan, {**roots, "population": moved}, out, alone, workers=0)  # where it lies is no matter
    (out / "first" / "model.safetensors").unlink()  # as if it was interrupted between the two stages
    Image.fromarray(photo_like(99, 64, 64)).save(moved / "one-more.png")
    with pytest.raises(ConfigError, match=r"other data \(population\)"):
        run_plan(plan, {**roots, "population": moved}, out, alone, workers=0)
    path = run_plan(plan, {**roots, "population": moved}, out, alone, workers=0, restart=True)
    assert path.read_bytes() != made
    run_plan(plan, {**roots, "population": moved}, out, alone, workers=0)
