"""The float32 original that an export is judged by: known by its weights, never by a file's name."""

from __future__ import annotations

import os

from crossiqa_edge import weights
from crossiqa_edge.card import ModelCard
from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.backend import Backend
from crossiqa_edge.runtime.scorer import locate
from crossiqa_edge.runtime.select import open_backend

_KINDS = ("onnx", "safetensors")  # what has not been through another converter


def shipped_original(card: ModelCard) -> Artefact | None:
    """The shipped float32 graph of the weights that ``card`` is of; None for weights of somebody's own."""
    for name in weights.available():
        shipped = Artefact.open(weights.find(name))
        if shipped.card.weights_sha256 == card.weights_sha256 and shipped.card.precision == "fp32":
            return shipped
    return None


def named_original(name: str | os.PathLike[str], made: Artefact) -> Artefact:
    """The original that a user named, a shipped name or a file, of the artefact ``made``.

    Raises:
        ArtefactError: no such model, not a float32 graph or weights, or of other weights than ``made``.
    """
    original = Artefact.open(locate(name))
    precision = original.card.precision
    if precision != "fp32" or original.kind not in _KINDS:
        what = precision if original.kind in _KINDS else f"{precision}, {original.kind}"
        raise ArtefactError(f"{original.path}: {what}; --reference takes a float32 graph or the weights")
    if original.card.weights_sha256 != made.card.weights_sha256:
        raise ArtefactError(
            f"{original.path}: holds {original.card.identity}, but {made.path} was made of "
            f"{made.card.identity}; give the original with --reference"
        )
    return original


def weights_beside(graph: Artefact) -> Artefact | None:
    """The file of weights beside ``graph`` with its name; None where there is none, or of other weights."""
    path = graph.path.with_suffix(".safetensors")
    if not path.is_file():
        return None
    found = Artefact.open(path)
    same = found.kind == "safetensors" and found.card.weights_sha256 == graph.card.weights_sha256
    return found if same else None


def open_original(original: Artefact, threads: int | None = None) -> Backend:
    """What scores ``original``: onnxruntime a graph, torch bare weights.

    Raises:
        BackendError: bare weights, and no torch here.
        ArtefactError: a damaged file.
    """
    return open_backend(
        original, "torch" if original.kind == "safetensors" else "onnxruntime", threads=threads
    )
