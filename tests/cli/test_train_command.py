"""`crossiqa train`, from the command line to a file with weights."""

import pytest
from PIL import Image

from crossiqa_edge.cli.main import main
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.model.checkpoint import load

MICRO = [
    *("--set", "size=micro", "--set", "view_size=32", "--set", "batch=2"),
    *("--set", "steps=2", "--set", "steps_per_epoch=2", "--workers", "0", "--threads", "1"),
]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(3):
        Image.fromarray(photo_like(seed, 96, 96)).save(folder / f"{seed}.png")
    return folder


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        main(["train", *map(str, arguments)])
    return left.value.code


def test_pretrain_then_finetune(photos, tmp_path, capfd):
    out = tmp_path / "run"
    assert run("pretrain", "--recipe", "nano-pretrain", "--photos", photos, "--out", out, *MICRO) == 0
    weights = capfd.readouterr().out.strip()
    recipe = tmp_path / "mine.toml"
    recipe.write_text('[[sources]]\ndata = "population"\nhold_out = 0.4\n')
    assert (
        run(
            *("finetune", "--recipe", recipe, "--from", weights, "--data", f"population={photos}"),
            *("--out", tmp_path / "fine", "--name", "mine", *MICRO),
        )
        == 0
    )
    _, card = load(capfd.readouterr().out.strip())
    assert card.name == "mine"
    assert set(card.recipe) == {"pretrain", "mine"}
    assert card.accuracy["population MOS"]["pictures"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "nano-pretrain", "--set", "stepz=1"], "did you mean 'steps'"),
        (["--recipe", "nano-pretrain", "--set", "steps"], "NAME=VALUE"),
        (["--recipe", "nosuch"], "packaged ones are"),
        (["--recipe", "nano-pretrain", "--device", "foo"], "none that PyTorch knows"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(photos, tmp_path, capfd, arguments, message):
    assert run("pretrain", "--photos", photos, "--out", tmp_path / "run", *arguments) == 2
    error = capfd.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("option", ["--threads=0", "--seed=-1"])
def test_numbers_have_bounds(photos, tmp_path, capfd, option):
    command = ("pretrain", "--recipe", "nano-pretrain", "--photos", photos, "--out", tmp_path / "run")
    assert run(*command, option) == 2
    assert "is not in the range" in capfd.readouterr().err


def test_recipes_are_listed(capfd):
    assert run("recipes") == 0
    assert "nano-pretrain" in capfd.readouterr().out.split()


def test_a_plan_is_one_command(photos, tmp_path, capfd):
    path = tmp_path / "mine.toml"
    path.write_text(
        'size = "micro"\nview_size = 32\nbatch = 2\nsteps = 2\nsteps_per_epoch = 2\n'
        '[[sources]]\ndata = "population"\nhold_out = 0.3\n'
        '[[stages]]\nname = "first"\nverb = "pretrain"\n'
        '[[stages]]\nname = "second"\nverb = "finetune"\nfrom = "first"\n'
    )
    arguments = ("plan", path, "--data", f"population={photos}", "--out", tmp_path / "run", "--workers", "0")
    assert run(*arguments, "--name", "mine") == 0
    _, card = load(capfd.readouterr().out.strip())
    assert (card.name, list(card.recipe)) == ("mine", ["pretrain", "mine-second"])
    assert run(*arguments, "--seed", "1") == 2
    assert "another plan" in capfd.readouterr().err


def test_an_unknown_plan_is_named(photos, tmp_path, capfd):
    assert run("plan", "nosuch", "--data", f"population={photos}", "--out", tmp_path) == 2
    assert "packaged ones are nano" in capfd.readouterr().err
