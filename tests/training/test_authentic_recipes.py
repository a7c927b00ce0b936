"""The recipes for larger authentic sets, run for two steps on folders with those sets' structure."""

import pytest
from PIL import Image

pytest.importorskip("openpyxl", reason="SPAQ's table needs the train extra")

import openpyxl

from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.model.checkpoint import load
from crossiqa_edge.training.finetune import finetune
from crossiqa_edge.training.recipe import FinetuneRecipe, load_recipe

SMALL = {
    "size": "micro",
    "view_size": 64,
    "batch": 2,
    "steps": 2,
    "steps_per_epoch": 2,
    "warmup_steps": 1,
    "precision": "fp32",
}
NAMES = [f"{number}.jpg" for number in range(1, 11)]


def koniq10k(root):
    lines = ["image_name,MOS", *(f"{name},{10 * place + 5}" for place, name in enumerate(NAMES))]
    (root / "koniq10k_distributions_sets.csv").write_text("\n".join(lines))
    return root / "1024x768"


def spaq(root):
    book = openpyxl.Workbook()
    for row in [("Image name", "MOS"), *((name, 10 * place + 5) for place, name in enumerate(NAMES))]:
        book.active.append(row)
    (root / "Annotations").mkdir()
    book.save(root / "Annotations" / "MOS and Image attribute scores.xlsx")
    return root / "TestImage"


@pytest.mark.parametrize("release", [koniq10k, spaq])
def test_one_command_tunes_on_the_release(release, tmp_path, alone):
    root = tmp_path / "release"
    root.mkdir()
    folder = release(root)
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        Image.fromarray(photo_like(seed, 72, 80)).save(folder / name)
    recipe = load_recipe(FinetuneRecipe, f"nano-{release.__name__}", SMALL)
    path = finetune(recipe, None, {release.__name__: root}, tmp_path / "run", alone, workers=0)
    _, card = load(path)
    assert next(iter(card.accuracy.values()))["pictures"] == 2  # a fifth was held out
