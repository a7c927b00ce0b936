"""``crossiqa train``: pre-train without labels, then fine-tune to human opinion."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from crossiqa_edge.errors import ConfigError, MissingDependencyError

_SHARED = (
    click.option(
        "--recipe",
        required=True,
        help="Packaged recipe by name, or a TOML file. See: crossiqa train recipes.",
    ),
    click.option(
        "-o",
        "--out",
        required=True,
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of the run.",
    ),
    click.option(
        "--cache",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder for decoded pictures, to share between runs; the run's own by default.",
    ),
    click.option("--workers", default=1, show_default=True, help="Processes that make views."),
    click.option("--threads", type=int, help="Threads for the arithmetic; PyTorch's choice by default."),
    click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda."),
    click.option("--seed", type=int, help="Replaces the recipe's seed."),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Replaces one value of the recipe, such as --set steps=100; may be repeated.",
    ),
    click.option("--restart", is_flag=True, help="Begin again instead of going on from the state in --out."),
)


def _shared(function: Any) -> Any:
    for option in reversed(_SHARED):
        function = option(function)
    return function


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
@click.option("--photos", required=True, type=click.Path(path_type=Path), help="Folder of photographs.")
@click.option(
    "--init-from", type=click.Path(path_type=Path), help="A timm ViT's safetensors file to start from."
)
@_shared
def pretrain(photos: Path, init_from: Path | None, **options: Any) -> None:
    """Learn quality without labels, by cross reconstruction of degraded photographs."""
    _require_torch()
    from crossiqa_edge.training.distributed import joined
    from crossiqa_edge.training.pretrain import pretrain as run
    from crossiqa_edge.training.recipe import PretrainRecipe, load_recipe

    recipe = load_recipe(PretrainRecipe, options["recipe"], _overrides(options))
    _set_threads(options["threads"])
    with joined(options["device"]) as world:
        path = run(recipe, photos, options["out"], world, init_from=init_from, **_run_options(options))
        if world.leads:
            click.echo(path)


@command.command("finetune")
@click.option(
    "--from", "weights", type=click.Path(path_type=Path), help="Weights to start from; fresh if absent."
)
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="NAME=FOLDER",
    help="Where a set of the recipe lies; repeat.",
)
@click.option("--name", help="What the model will be called; its size by default.")
@click.option("--linear-probe", is_flag=True, help="Train the regression head alone, the paper's protocol.")
@_shared
def finetune(
    weights: Path | None, data: tuple[str, ...], name: str | None, linear_probe: bool, **options: Any
) -> None:
    """Learn human opinion, starting from pre-trained weights."""
    _require_torch()
    from crossiqa_edge.training.distributed import joined
    from crossiqa_edge.training.finetune import finetune as run
    from crossiqa_edge.training.recipe import FinetuneRecipe, load_recipe

    recipe = load_recipe(FinetuneRecipe, options["recipe"], _overrides(options))
    _set_threads(options["threads"])
    with joined(options["device"]) as world:
        path = run(
            recipe,
            weights,
            dict(_pair(item, "--data") for item in data),
            options["out"],
            world,
            name=name,
            linear_probe=linear_probe,
            **_run_options(options),
        )
        if world.leads:
            click.echo(path)


def _require_torch() -> None:
    from importlib.util import find_spec

    if not (find_spec("torch") and find_spec("timm")):
        raise MissingDependencyError("training", "train")


def _set_threads(threads: int | None) -> None:
    import torch

    if threads:
        torch.set_num_threads(threads)


def _run_options(options: dict[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in ("cache", "workers", "restart")}


def _overrides(options: dict[str, Any]) -> dict[str, Any]:
    values = {key: _number(value) for key, value in (_pair(item, "--set") for item in options["settings"])}
    return values if options["seed"] is None else {**values, "seed": options["seed"]}


def _pair(text: str, option: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"{option} {text!r}: write it as NAME=VALUE")
    return key, value


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text
