"""One ONNX graph from uint8 views to the calibrated score, compared with the network before it is named."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.card import CARD_KEY, ModelCard
from crossiqa_edge.errors import MissingDependencyError
from crossiqa_edge.imaging.sampling import Views
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.backend import Scores
from crossiqa_edge.runtime.ort import OrtBackend
from crossiqa_edge.version import __version__

try:
    import onnx
    import onnxscript  # noqa: F401 - torch's exporter needs it, and says so much later
    import torch

    from crossiqa_edge.export.fusible import make_fusible
    from crossiqa_edge.export.verify import Verification, verify
    from crossiqa_edge.model.checkpoint import weights_sha256
    from crossiqa_edge.model.quality import QualityModel
except ImportError as error:
    raise MissingDependencyError("exporting to ONNX", "export") from error

# Attention and GELU are spelt out in elementary operators at 18, which TensorRT 10.3 (JetPack 6) and every
# onnxruntime since 1.14 read. Higher opsets fuse them, and shut these out.
OPSET = 18


def export_onnx(
    model: QualityModel, card: ModelCard, path: str | os.PathLike[str]
) -> tuple[Artefact, Verification]:
    """Write ``model`` as an ONNX artefact, once onnxruntime has been seen to give its scores.

    The graph takes ``views``, uint8 (batch, S, S, 3), and gives ``score``, float32 (batch,), 0..100. The
    card inside is ``card`` with hash, opset, precision and package version of what is written.

    Raises:
        ArtefactError: the graph's scores differ from the network's; nothing is left at ``path``.
        OutputError: ``path`` cannot be written.
        MissingDependencyError: at import, without the ``export`` extra.
    """
    path = Path(path)
    card = replace(
        card,
        weights_sha256=weights_sha256(model.state_dict()),
        precision="fp32",
        opset=OPSET,
        package_version=__version__,
    )
    with atomic_write(path) as stream:  # opened first: a folder that is not writable should not cost minutes
        data = _serialised(_fixed_size(model), card)
        backend = OrtBackend(Artefact.parse(data, path), data, threads=None, reason="verification")
        figures = verify(backend.infer, _scores_of(model), card)
        stream.write(data)
    return Artefact.open(path), figures


def _fixed_size(model: QualityModel) -> QualityModel:
    """A copy whose encoder takes views of one size only, in the form that runtimes fuse.

    Otherwise the graph would interpolate the position embeddings at every run, by an antialiased cubic
    Resize that few runtimes have.
    """
    model = copy.deepcopy(model).cpu().float().eval()
    vars(model.encoder)["dynamic_img_size"] = False  # declared final, for TorchScript's sake
    vars(model.encoder.patch_embed)["flatten"] = True  # what timm sets it to in a fixed encoder
    make_fusible(model)
    return model


def _serialised(model: QualityModel, card: ModelCard) -> bytes:
    views = torch.zeros((2, card.view_size, card.view_size, 3), dtype=torch.uint8)
    program = torch.onnx.export(
        model,
        (views,),
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        input_names=["views"],
        output_names=["score"],
        dynamic_shapes={"views": {0: torch.export.Dim("batch", min=1)}},
    )
    assert program is not None
    graph = _without_traces(program.model_proto)
    graph.producer_name, graph.producer_version = "crossiqa-edge", __version__
    onnx.helper.set_model_props(graph, {CARD_KEY: card.to_json()})
    onnx.checker.check_model(graph, full_check=True)
    data: bytes = graph.SerializeToString()
    return data


def _without_traces(model: Any) -> Any:
    """Drop the exporter's notes: they tell the paths of the machine, and make the file larger."""
    graph = model.graph
    del graph.value_info[:]
    for message in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del message.metadata_props[:]
        message.doc_string = ""
    return model


def _scores_of(model: QualityModel) -> Callable[[Views], Scores]:
    """``model`` as a function of NumPy arrays: uint8 (V, S, S, 3) -> float32 (V,)."""
    reference = copy.deepcopy(model).cpu().float().eval()

    def score(views: Views) -> Scores:
        with torch.inference_mode():
            scores: Scores = reference(torch.from_numpy(views)).numpy()
        return scores

    return score
