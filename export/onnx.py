"""From trained weights to an ONNX artefact, compared with the network before it takes its name."""

from __future__ import annotations

import copy
import os
from dataclasses import replace
from pathlib import Path

from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.card import CARD_KEY, ModelCard
from crossiqa_edge.errors import ArtefactError, ConfigError, MissingDependencyError
from crossiqa_edge.export.acceptance import LIMITS, Acceptance, Infer, accept, require
from crossiqa_edge.export.graph import OPSET, OPSETS, build
from crossiqa_edge.imaging.sampling import Views
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.backend import Scores
from crossiqa_edge.runtime.ort import OrtBackend
from crossiqa_edge.version import __version__

try:
    import onnx
    import torch

    from crossiqa_edge.model.checkpoint import weights_sha256
    from crossiqa_edge.model.quality import QualityModel
except ImportError as error:
    raise MissingDependencyError("exporting to ONNX", "export") from error


def export_onnx(
    model: QualityModel, card: ModelCard, path: str | os.PathLike[str], *, opset: int = OPSET
) -> tuple[Artefact, Acceptance]:
    """Write ``model`` as a float32 ONNX artefact, once onnxruntime has been seen to give its scores.

    The graph takes ``views``, uint8 (batch, S, S, 3), and gives ``score``, float32 (batch,), 0..100. The
    card inside is ``card`` with hash, opset, precision, package version and acceptance of what is written.

    Raises:
        ArtefactError: the graph's scores differ from the network's; nothing is left at ``path``.
        ConfigError: ``opset`` is not one of ``graph.OPSETS``.
        OutputError: ``path`` cannot be written.
        MissingDependencyError: at import, without the ``export`` extra.
    """
    if opset not in OPSETS:
        raise ConfigError(f"opset {opset}; choose from {', '.join(map(str, OPSETS))}")
    card = replace(
        card,
        weights_sha256=weights_sha256(model.state_dict()),
        precision="fp32",
        opset=opset,
        package_version=__version__,
    )
    parameters = {name: tensor.detach().cpu().float().numpy() for name, tensor in model.state_dict().items()}
    graph = build(parameters, card, opset)
    return write_accepted(graph, card, network(model), Path(path))


def write_accepted(
    graph: onnx.ModelProto, card: ModelCard, reference: Infer, path: Path
) -> tuple[Artefact, Acceptance]:
    """Write ``graph`` with ``card`` once onnxruntime's scores are near enough to those of ``reference``.

    Raises:
        ArtefactError: the graph is not sound, or not accepted; nothing is left at ``path``.
        OutputError: ``path`` cannot be written.
    """
    with atomic_write(path) as stream:  # opened first: a folder that is not writable should not cost minutes
        data = _serialised(graph, card)
        backend = OrtBackend(Artefact.parse(data, path), data, threads=None, reason="acceptance")
        acceptance = accept(backend.infer, reference, card, LIMITS[card.precision])
        require(acceptance, f"{card.name} {card.precision}")
        stream.write(_serialised(graph, replace(card, acceptance=acceptance.to_dict())))
    return Artefact.open(path), acceptance


def network(model: QualityModel) -> Infer:
    """``model`` as a function of arrays: uint8 (V, S, S, 3) -> float32 (V,)."""
    reference = copy.deepcopy(model).cpu().float().eval()

    def score(views: Views) -> Scores:
        with torch.inference_mode():
            scores: Scores = reference(torch.tensor(views)).numpy()
        return scores

    return score


def _serialised(graph: onnx.ModelProto, card: ModelCard) -> bytes:
    onnx.helper.set_model_props(graph, {CARD_KEY: card.to_json()})
    try:
        onnx.checker.check_model(graph, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        told = " ".join(str(error).split())[:300]
        raise ArtefactError(f"{card.name} {card.precision}: the graph is not sound: {told}") from error
    data: bytes = graph.SerializeToString()
    return data
