"""``crossiqa train``: pre-train without labels, then fine-tune to human opinion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from crossiqa_edge.cli.train_options import (
    RECIPE_HELP,
    overrides,
    pair,
    require_torch,
    run_options,
    set_threads,
    shared_options,
    tell_scale,
)
from crossiqa_edge.errors import ConfigError, MissingDependencyError


@click.group("train", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Train a network: pretrain on unlabelled photographs, then finetune to human opinion.

    A run writes its state every few minutes and on Ctrl-C; the same command goes on where it stopped.
    Under torchrun it uses every process.
    """


@command.command("recipes")
def recipes() -> None:
    """List the packaged recipes."""
    from crossiqa_edge.training.recipe import packaged_recipes

    click.echo("\n".join(packaged_recipes()))


@command.command("pretrain")
@click.option("--recipe", required=True, help=RECIPE_HELP)
@click.option("--photos", required=True, type=click.Path(path_type=Path), help="Folder of photographs.")
@click.option(
    "--init-from", type=click.Path(path_type=Path), help="A timm ViT's safetensors file to start from."
)
@shared_options
def pretrain(photos: Path, init_from: Path | None, **options: Any) -> None:
    """Learn quality without labels, by cross reconstruction of degraded photographs."""
    require_torch()
    from crossiqa_edge.training.distributed import joined
    from crossiqa_edge.training.pretrain import pretrain as run
    from crossiqa_edge.training.recipe import PretrainRecipe, load_recipe

    recipe = load_recipe(PretrainRecipe, options["recipe"], overrides(options))
    set_threads(options["threads"])
    with joined(options["device"]) as world:
        path = run(recipe, photos, options["out"], world, init_from=init_from, **run_options(options))
        if world.leads:
            click.echo(path)


@command.command("finetune")
@click.option("--recipe", help=f"For the long training. {RECIPE_HELP}")
@click.option(
    "--from",
    "weights",
    metavar="NAME|FILE",
    help="Model to start from.  [default: nano; with --recipe: fresh weights]",
)
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="FILE.csv|NAME=FOLDER",
    help="A table of your pictures and opinions; with --recipe, where a set of the recipe lies, repeatedly.",
)
@click.option("--name", help="What the model will be called.")
@click.option(
    "--scale",
    metavar="WORST,BEST",
    help="Of the opinions in the table, such as 1,5.  [default: found from them]",
)
@click.option("--onnx", is_flag=True, help="Also write the model as an ONNX file, compared with the network.")
@click.option(
    "--linear-probe",
    is_flag=True,
    help="With --recipe: train the regression head alone, the paper's protocol.",
)
@shared_options
def finetune(
    recipe: str | None, weights: str | None, data: tuple[str, ...], onnx: bool, **options: Any
) -> int:
    """Learn human opinion, in one of two ways.

    Without --recipe: from a few hundred pictures of your own, in minutes on a CPU. --data is a CSV file
    with the columns file and mos beside its pictures, opinions on any scale. The encoder stays frozen; the
    head, the calibration and the interval are fitted anew, and every figure comes from pictures that were
    held out. --out gets model.safetensors, report.json and learning_curve.png.

    With --recipe: the long training of the whole network on the recipe's data sets.

    \b
    Exit codes:
      0    done
      1    done, but pictures of the table could not be read and were left out
      2    nothing was trained
      130  interrupted
    """
    require_torch()
    if onnx:
        _require_export()
    set_threads(options["threads"])
    path: Path | None
    if recipe is None:
        path, code = _finetune_own(weights or "nano", data, options)
    else:
        path, code = _finetune_by_recipe(recipe, weights, data, options), 0
    if path is not None:
        click.echo(path)
        if onnx:
            from crossiqa_edge.cli.train_own import export_beside

            click.echo(export_beside(path))
    return code


def _finetune_own(start: str, data: tuple[str, ...], options: dict[str, Any]) -> tuple[Path, int]:
    from crossiqa_edge.cli.train_own import finetune_own

    for key, option in (("linear_probe", "--linear-probe"), ("settings", "--set"), ("restart", "--restart")):
        if options[key]:
            raise ConfigError(f"{option} belongs to the long training; give --recipe, or leave it out")
    if len(data) != 1 or "=" in data[0]:
        raise ConfigError(
            "--data: without --recipe give one CSV file of pictures and opinions; NAME=FOLDER needs --recipe"
        )
    kept = {key: options[key] for key in ("name", "scale", "cache", "seed")}
    return finetune_own(data[0], start, options["out"], workers=max(options["workers"], 1), **kept)


def _finetune_by_recipe(
    name: str, weights: str | None, data: tuple[str, ...], options: dict[str, Any]
) -> Path | None:
    """The model's path, in the process that leads."""
    from crossiqa_edge.bench.subjects import weights_of
    from crossiqa_edge.training.distributed import joined
    from crossiqa_edge.training.finetune import finetune as run
    from crossiqa_edge.training.recipe import FinetuneRecipe, load_recipe

    if options["scale"] is not None:
        raise ConfigError("--scale is of a table of your own; a recipe's sets know theirs; leave it out")
    recipe = load_recipe(FinetuneRecipe, name, overrides(options))
    roots = dict(pair(item, "--data") for item in data)
    with joined(options["device"]) as world:
        if world.leads:
            tell_scale(roots)
        path = run(
            recipe,
            None if weights is None else weights_of(weights),
            roots,
            options["out"],
            world,
            name=options["name"],
            linear_probe=options["linear_probe"],
            **run_options(options),
        )
        return path if world.leads else None


@command.command("plan")
@click.argument("plan", metavar="NAME|FILE.toml")
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="NAME=FOLDER",
    help="Where a set of the plan lies, repeatedly; population=FOLDER is also what the pretext sees.",
)
@click.option("--name", help="What the model will be called.  [default: its size]")
@shared_options
def plan(plan: str, data: tuple[str, ...], name: str | None, **options: Any) -> None:
    """Make a model from random weights by all stages of a PLAN, such as nano.

    Each stage has a folder in --out. A stage that is there is not made again; the same command goes on
    where it stopped.
    """
    require_torch()
    from crossiqa_edge.training.distributed import joined
    from crossiqa_edge.training.plan import load_plan, run_plan

    stages = load_plan(plan, overrides(options))
    set_threads(options["threads"])
    roots = dict(pair(item, "--data") for item in data)
    with joined(options["device"]) as world:
        if world.leads:
            tell_scale(roots)
        path = run_plan(stages, roots, options["out"], world, name=name, **run_options(options))
        if world.leads:
            click.echo(path)


@command.command("teach")
@click.option(
    "--recipe", default="nano-finetune", show_default=True, help=f"Whose hold-outs to respect. {RECIPE_HELP}"
)
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="NAME=FOLDER",
    help="folder=FOLDER of judged pictures and population=FOLDER of photographs.",
)
@click.option("-o", "--out", required=True, type=click.Path(file_okay=False, path_type=Path))
def teach(recipe: str, data: tuple[str, ...], out: Path) -> None:
    """Have a frozen EfficientNet-Lite0 judge variations of the training pictures.

    --out becomes a labelled folder to train on (--data taught=FOLDER with the recipe nano-finetune). Its
    opinions are a guess of people's: nothing to measure with.
    """
    require_torch()
    from crossiqa_edge.training.recipe import FinetuneRecipe, load_recipe
    from crossiqa_edge.training.teacher import fit_teacher, training_pictures, write_opinions

    chosen = load_recipe(FinetuneRecipe, recipe)
    judged, held_out, loaders = training_pictures(chosen, dict(pair(item, "--data") for item in data))
    teacher, agreement = fit_teacher(judged, held_out)
    click.echo(f"the teacher's SRCC on {len(held_out)} held-out pictures: {agreement:.3f}", err=True)
    click.echo(write_opinions(teacher, loaders, out, chosen.seed))


@command.command("average")
@click.argument("weights", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--recipe", required=True, help=f"Whose held-out pictures calibrate the mean. {RECIPE_HELP}")
@click.option("--data", multiple=True, required=True, metavar="NAME=FOLDER", help="As for finetune.")
@click.option("-o", "--out", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="As for finetune.")
def average(
    weights: tuple[Path, ...], recipe: str, data: tuple[str, ...], out: Path, cache: Path | None
) -> None:
    """The mean of the WEIGHTS of two stages or more, calibrated anew."""
    require_torch()
    from crossiqa_edge.training.average import average as run
    from crossiqa_edge.training.recipe import FinetuneRecipe, load_recipe

    roots = dict(pair(item, "--data") for item in data)
    click.echo(run(weights, load_recipe(FinetuneRecipe, recipe), roots, out, cache=cache))


@command.command("reference")
@click.argument("weights", metavar="NAME|FILE.safetensors")
@click.argument("pictures", type=click.Path(path_type=Path), metavar="FOLDER")
@click.option("--name", required=True, help="What the set is called wherever a percentile is told.")
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write, which a shipped NAME needs.  [default: the weights' own]",
)
@click.option(
    "--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Threads that decode."
)
def reference(weights: str, pictures: Path, name: str, out: Path | None, workers: int) -> int:
    """Score a FOLDER of pictures and keep the quantiles in the model's card.

    From then on every score says which share of those pictures the model puts below it. Export afterwards:
    the card travels with the weights.
    """
    require_torch()
    from crossiqa_edge.cli.train_own import reference as run

    path, code = run(weights, pictures, name, out, workers)
    click.echo(path)
    return code


def _require_export() -> None:
    from importlib.util import find_spec

    if not find_spec("onnx"):
        raise MissingDependencyError("writing an ONNX file", "export")
