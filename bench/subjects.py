"""What is measured against opinion: a graph, bare weights, or the features of a frozen encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy.typing as npt

from crossiqa_edge import weights
from crossiqa_edge.card import ModelCard
from crossiqa_edge.errors import ArtefactError, MissingDependencyError
from crossiqa_edge.imaging.sampling import Views
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.training.evaluate import Predict, pooled

if TYPE_CHECKING:
    from torch import Tensor

    from crossiqa_edge.model.quality import QualityModel


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        name: for the results.
        run: turns frames into scores, or into features for a linear probe.
        card: of the model whose scores these are; None for features.
    """

    name: str
    run: Predict
    card: ModelCard | None = None


@dataclass(frozen=True)
class Reading:
    """How a frame becomes views; None takes the model card's sampling, and its usual number of views."""

    sampling: str | None = None
    views: int | None = None


def scoring(model: str, reading: Reading) -> Subject:
    """The finished model: a shipped name, an ONNX graph or a safetensors file.

    Raises:
        ArtefactError: no such model, or a damaged one.
        MissingDependencyError: bare weights without torch.
    """
    path = _locate(model)
    if Artefact.open(path).kind == "safetensors":
        network, card = _load(path)
        return replace(_subject(card.identity, _numpy(network), card, reading), card=card)
    scorer = Scorer.load(path, backend="onnxruntime")  # the same on every machine
    subject = _subject(scorer.card.identity, scorer.backend.infer, scorer.card, reading)
    return replace(subject, card=scorer.card)


def encoder(model: str, reading: Reading) -> Subject:
    """The frozen encoder of a model's weights; for a graph, of the safetensors file beside it.

    Raises:
        ArtefactError: no weights, or damaged ones.
        MissingDependencyError: torch is absent.
    """
    network, card = _load(weights_of(model))
    return _subject(f"{card.identity} encoder", _numpy(network.features), card, reading)


def untrained_encoder(model: str, reading: Reading, seed: int) -> Subject:
    """An encoder of the same shape with random weights: what any training has to beat.

    Raises:
        ArtefactError, MissingDependencyError: as for ``encoder``.
    """
    _, card = _load(weights_of(model))
    import torch

    from crossiqa_edge.model.quality import QualityModel

    torch.manual_seed(seed)
    network = QualityModel(card).eval()
    return _subject(f"{card.size} encoder, random init", _numpy(network.features), card, reading)


def _subject(
    name: str, network: Callable[[Views], npt.ArrayLike], card: ModelCard, reading: Reading
) -> Subject:
    sampling = reading.sampling or card.sampling
    return Subject(name, pooled(network, sampling, size=card.view_size, views=reading.views))


def _locate(model: str) -> Path:
    path = Path(model)
    return path if path.exists() else weights.find(model)


def weights_of(model: str) -> Path:
    """The trained weights of a model: the safetensors file itself, or the one beside its graph.

    Raises:
        ArtefactError: no such model, or none with weights.
    """
    path = _locate(model)
    if Artefact.open(path).kind == "safetensors":
        return path
    beside = path.with_suffix(".safetensors")
    if not beside.is_file():
        raise ArtefactError(
            f"{path}: a graph gives scores only; for a linear probe give the .safetensors weights"
        )
    return beside


def _load(path: Path) -> tuple[QualityModel, ModelCard]:
    try:
        from crossiqa_edge.model.checkpoint import load
    except ImportError as error:
        raise MissingDependencyError("running bare weights", "train") from error
    return load(path)


def _numpy(function: Callable[[Tensor], Tensor]) -> Callable[[Views], npt.ArrayLike]:
    """``function`` of uint8 tensors, made to take and give arrays."""
    import torch

    def run(views: Views) -> npt.ArrayLike:
        with torch.inference_mode():
            return function(torch.from_numpy(views)).numpy()

    return run
