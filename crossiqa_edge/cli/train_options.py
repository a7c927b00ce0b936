"""What the commands of ``crossiqa train`` share: options, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from crossiqa_edge.cli.console import complain
from crossiqa_edge.data.datasets.scale import USUAL, taken_as
from crossiqa_edge.errors import ConfigError, MissingDependencyError

RECIPE_HELP = "Packaged recipe by name, or a TOML file. See: crossiqa train recipes."
_SHARED = (
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
        help="Folder for decoded pictures or features, to share between runs; the run's own by default.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=0),
        default=1,
        show_default=True,
        help="Processes that make views, or threads that decode.",
    ),
    click.option(
        "--threads",
        type=click.IntRange(min=1),
        help="Threads for the arithmetic; PyTorch's choice by default.",
    ),
    click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda."),
    click.option(
        "--seed", type=click.IntRange(min=0), help="Replaces the recipe's seed; 0 without a recipe."
    ),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Replaces one value of the recipe, such as --set steps=100; may be repeated.",
    ),
    click.option("--restart", is_flag=True, help="Begin again instead of going on from the state in --out."),
)


def shared_options(function: Any) -> Any:
    for option in reversed(_SHARED):
        function = option(function)
    return function


def require_torch() -> None:
    from importlib.util import find_spec

    if not (find_spec("torch") and find_spec("timm")):
        raise MissingDependencyError("training", "train")


def set_threads(threads: int | None) -> None:
    import torch

    if threads:
        torch.set_num_threads(threads)


def run_options(options: dict[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in ("cache", "workers", "restart")}


def overrides(options: dict[str, Any]) -> dict[str, Any]:
    values = {key: _number(value) for key, value in (pair(item, "--set") for item in options["settings"])}
    return values if options["seed"] is None else {**values, "seed": options["seed"]}


def pair(text: str, option: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"{option} {text!r}: write it as NAME=VALUE")
    return key, value


def tell_scale(roots: Mapping[str, str]) -> None:
    """Say on which scale the opinions of a labelled folder are taken, unless it is the usual one."""
    from crossiqa_edge.data.datasets.catalogue import open_set

    if "folder" in roots and (opened := open_set("folder", roots["folder"])).native_range != USUAL:
        complain(f"{opened.name}: {taken_as(opened.native_range)}; write them on 0 to 100 if it is another")


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text
