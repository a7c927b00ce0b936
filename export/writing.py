"""An ONNX graph on its way to the disk: checked, compared with the original, and only then named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.card import CARD_KEY, ModelCard
from crossiqa_edge.errors import MissingDependencyError
from crossiqa_edge.export.acceptance import LIMITS, Acceptance, Infer, accept, require
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.ort import OrtBackend

try:
    import onnx

    from crossiqa_edge.export.surgery import check_sound
except ImportError as error:
    raise MissingDependencyError("writing ONNX graphs", "export") from error


def write_accepted(
    graph: onnx.ModelProto, card: ModelCard, reference: Infer, path: Path, *, against: str = "fp32"
) -> tuple[Artefact, Acceptance]:
    """Write ``graph`` with ``card`` once onnxruntime's scores are near enough to those of ``reference``.

    ``against`` is the precision of ``reference``, where that is not the float32 original.

    Raises:
        ArtefactError: the graph is not sound, or not accepted; nothing is left at ``path``.
        OutputError: ``path`` cannot be written.
    """
    with atomic_write(path) as stream:  # opened first: a folder that is not writable should not cost minutes
        data = _serialised(graph, card)
        backend = OrtBackend(Artefact.parse(data, path), data, threads=None, reason="acceptance")
        acceptance = accept(backend.infer, reference, card, LIMITS[card.precision], against=against)
        require(acceptance, f"{card.name} {card.precision}")
        stream.write(_serialised(graph, replace(card, acceptance=acceptance.to_dict())))
    return Artefact.open(path), acceptance


def with_card(data: bytes, card: ModelCard) -> bytes:
    """The ONNX file ``data`` with ``card`` instead of the one it has."""
    graph = onnx.load_from_string(data)
    onnx.helper.set_model_props(graph, {CARD_KEY: card.to_json()})
    changed: bytes = graph.SerializeToString()
    return changed


def _serialised(graph: onnx.ModelProto, card: ModelCard) -> bytes:
    onnx.helper.set_model_props(graph, {CARD_KEY: card.to_json()})
    check_sound(graph, f"{card.name} {card.precision}", shapes=True)
    data: bytes = graph.SerializeToString()
    return data
