"""The state of a run in one safetensors file, so that a run can stop anywhere and go on exactly."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.model.checkpoint import read_tensors
from crossiqa_edge.training.recipe import Recipe

CHECKPOINT = "checkpoint.safetensors"


def save_state(
    directory: str | os.PathLike[str],
    step: int,
    recipe: Recipe,
    facts: Mapping[str, str],
    module: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
) -> None:
    """Write parameters, their average and the optimiser's moments after ``step`` steps, atomically.

    ``facts`` are what the run was begun with beside its recipe; ``restore_state`` compares them.
    """
    tensors = {
        **{f"module/{name}": tensor for name, tensor in module.state_dict().items()},
        **{f"average/{name}": tensor for name, tensor in average.state_dict().items()},
        **_optimiser_tensors(optimiser),
    }
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    metadata = {"step": str(step), "recipe": json.dumps(recipe.to_dict()), "facts": json.dumps(dict(facts))}
    with atomic_write(Path(directory) / CHECKPOINT) as stream:
        stream.write(save(tensors, metadata=metadata))


def restore_state(
    directory: str | os.PathLike[str],
    recipe: Recipe,
    facts: Mapping[str, str],
    module: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
) -> int:
    """Load the state in ``directory`` if there is one; returns the number of steps already done.

    Raises:
        ConfigError: the state belongs to another recipe, or was begun with other ``facts``, or does not tell
            with which, as those of earlier versions do not: nothing says that they may go on here.
    """
    path = Path(directory) / CHECKPOINT
    if not path.exists():
        return 0
    tensors, metadata = read_tensors(path)
    if "recipe" not in metadata:
        raise ConfigError(f"{path}: is no state of a run; give another --out, or --restart to begin again")
    if json.loads(metadata["recipe"]) != json.loads(json.dumps(recipe.to_dict())):
        raise ConfigError(
            f"{path}: belongs to another recipe; give another --out, or --restart to begin again"
        )
    _check_facts(path, metadata, facts)
    module.load_state_dict(_under(tensors, "module/"))
    average.load_state_dict(_under(tensors, "average/"))
    _restore_optimiser(optimiser, _under(tensors, "optimiser/"))
    return int(metadata["step"])


def _check_facts(path: Path, metadata: Mapping[str, str], facts: Mapping[str, str]) -> None:
    if "facts" not in metadata:
        raise ConfigError(
            f"{path}: does not tell what it was begun with, an earlier version wrote it; "
            "give another --out, or --restart to begin again"
        )
    before = json.loads(metadata["facts"])
    names = dict.fromkeys((*before, *facts))
    others = [
        f"{name} {before.get(name, 'none')} (now {facts.get(name, 'none')})"
        for name in names
        if before.get(name) != facts.get(name)
    ]
    if others:
        raise ConfigError(
            f"{path}: was begun with {', '.join(others)}; give another --out, or --restart to begin again"
        )


def _optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimiser.state_dict()["state"]
    return {
        f"optimiser/{index}/{name}": torch.as_tensor(value)
        for index, values in state.items()
        for name, value in values.items()
    }


def _restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        index, name = key.split("/")
        state.setdefault(int(index), {})[name] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
