"""``crossiqa train teach``: a labelled folder of pictures that a pretrained network has judged."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("teach")
@click.option(
    "--recipe",
    default="nano-taught",
    show_default=True,
    help="The recipe whose held-out pictures to leave out.",
)
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="NAME=FOLDER",
    help="folder=FOLDER of judged pictures and population=FOLDER of photographs.",
)
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the pictures and labels.csv.",
)
def command(recipe: str, data: tuple[str, ...], out: Path) -> None:
    """Have a frozen EfficientNet-Lite0 judge variations of the training pictures.

    The folder is a set to train on (--data taught=FOLDER of nano-taught), not to measure with.
    """
    from crossiqa_edge.cli.train import pair, require_torch

    require_torch()
    from crossiqa_edge.training.recipe import FinetuneRecipe, load_recipe
    from crossiqa_edge.training.teacher import fit_teacher, training_pictures, write_opinions

    roots = dict(pair(item, "--data") for item in data)
    chosen = load_recipe(FinetuneRecipe, recipe)
    judged, held_out, loaders = training_pictures(chosen, roots)
    teacher, agreement = fit_teacher(judged, held_out)
    click.echo(f"the teacher's SRCC on {len(held_out)} held-out pictures is {agreement:.3f}", err=True)
    click.echo(write_opinions(teacher, loaders, out, chosen.seed))
