"""What an export may write over: the file that was named for it, and the graph that the same command left.

A model that is read is never written over, be it reached through a link or the weights beside a graph.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from crossiqa_edge.errors import ArtefactError, ConfigError, OutputError
from crossiqa_edge.export.attention_nodes import has_nodes
from crossiqa_edge.export.quantise import Calibration
from crossiqa_edge.runtime.artefact import Artefact

if TYPE_CHECKING:
    from crossiqa_edge.export.conversion import Plan, Recipe


def refuse_overwriting(plan: Plan, given: Path) -> None:
    """Refuse a plan whose output, or the graph beside it, would take the place of something else.

    Args:
        plan: what will be done.
        given: the model as the user named it; the plan may start from the weights beside it.

    Raises:
        ConfigError: it would, with what to do instead.
        OutputError: there is no such folder, or nobody may write there.
    """
    read = [given, plan.source.path, *([plan.original.path] if plan.original else [])]
    _refuse_read(plan.output, read)
    exists = plan.place.exists()
    if plan.place.is_dir() or (exists and not (plan.target.suffix and plan.place.is_file())):
        raise ConfigError(f"{plan.output}: exists; give another name with -o, or remove it")
    if plan.target.keeps_graph and plan.makes_graph:
        _refuse_read(plan.graph_output, read)
        _refuse_other_graph(plan, plan.graph_output)
    if not (plan.place.parent.is_dir() and os.access(plan.place.parent, os.W_OK | os.X_OK)):
        what = "no permission" if plan.place.parent.is_dir() else "there is no such folder"
        raise OutputError(f"{plan.output}: cannot write here ({what}); choose another path")


def _refuse_read(path: Path, read: list[Path]) -> None:
    if os.path.realpath(path) in map(os.path.realpath, read):
        raise ConfigError(f"{path}: this would overwrite the model; give another name with -o")


def _refuse_other_graph(plan: Plan, path: Path) -> None:
    """The user named the engine, not the ONNX file that lies beside it: nothing else is lost to that."""
    if os.path.lexists(path) and (path.is_symlink() or not _was_left(path, plan)):
        raise ConfigError(
            f"{path}: exists, and is not the graph that this command would leave there beside "
            f"{plan.output.name}; give another name with -o, or remove it"
        )


def _was_left(path: Path, plan: Plan) -> bool:
    """Whether the file at ``path`` is what this plan would make anew, so that nothing is lost."""
    try:
        found = Artefact.open(path)
        with_plugin = found.kind == "onnx" and has_nodes(onnx.load_from_string(found.read()))
    except ArtefactError:
        return False
    card, recipe = found.card, plan.recipe
    same = (found.kind, card.weights_sha256, card.precision, card.opset, with_plugin) == (
        *("onnx", plan.source.card.weights_sha256, recipe.precision, plan.opset),
        recipe.plugin is not None,
    )
    return same and (recipe.precision != "int8" or _quantised_so(card.quantisation or {}, recipe))


def _quantised_so(facts: Mapping[str, Any], recipe: Recipe) -> bool:
    """Whether a card's ``facts`` of an int8 graph are those of ``recipe``."""
    wanted = recipe.calibration or Calibration()
    found = facts.get("method"), facts.get("smoothing"), (facts.get("search") or {}).get("limit")
    return found == (wanted.method, wanted.smoothing, recipe.search_limit)
