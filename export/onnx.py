"""From trained weights to an ONNX artefact, compared with the network before it takes its name."""

from __future__ import annotations

import copy
import os
from dataclasses import replace
from pathlib import Path

from crossiqa_edge.card import ModelCard
from crossiqa_edge.errors import ConfigError, MissingDependencyError
from crossiqa_edge.export.acceptance import Acceptance, Infer
from crossiqa_edge.export.graph import OPSET, OPSETS, build
from crossiqa_edge.export.writing import write_accepted
from crossiqa_edge.imaging.sampling import Views
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.backend import Scores
from crossiqa_edge.version import __version__

try:
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


def network(model: QualityModel) -> Infer:
    """``model`` as a function of arrays: uint8 (V, S, S, 3) -> float32 (V,)."""
    reference = copy.deepcopy(model).cpu().float().eval()

    def score(views: Views) -> Scores:
        with torch.inference_mode():
            scores: Scores = reference(torch.tensor(views)).numpy()
        return scores

    return score
