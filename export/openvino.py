"""OpenVINO's representation of an accepted ONNX artefact, in one file with its card.

The graph is read by OpenVINO's own reader of ONNX, as its converter does; int8 comes from the Q/DQ pairs
in the ONNX file, which OpenVINO turns into the same fake quantisers that its compression tool NNCF would
insert. So there is one calibration, one acceptance and one set of int8 weights for every runtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.card import CARD_KEY, ModelCard
from crossiqa_edge.errors import ArtefactError, MissingDependencyError, OutputError
from crossiqa_edge.export.targets import Options, Progress
from crossiqa_edge.runtime import irfile
from crossiqa_edge.runtime.artefact import Artefact

try:
    import openvino
except ImportError as error:
    raise MissingDependencyError("exporting to OpenVINO", "openvino") from error


def build(source: Artefact, out: Path, options: Options, progress: Progress) -> Path:
    """Convert the ONNX artefact ``source`` to ``out``; float weights stay float32, int8 ones int8.

    Raises:
        ArtefactError: OpenVINO does not accept the graph.
        OutputError: ``out`` cannot be written.
        MissingDependencyError: at import, without the ``openvino`` extra.
    """
    progress("converting")
    with atomic_write(out) as stream:
        try:
            model = openvino.Core().read_model(source.read())
        except RuntimeError as error:
            told = " ".join(str(error).split())[:300]
            raise ArtefactError(f"{source.path}: OpenVINO does not accept this graph: {told}") from error
        stream.write(_serialised(model, replace(source.card, acceptance={})))
    return out


def record(built: Path, acceptance: Mapping[str, Any]) -> None:
    """Put the verdict on the file ``built`` into its card.

    Raises:
        ArtefactError: it is no file that ``build`` made.
        OutputError: it cannot be written.
    """
    artefact = Artefact.open(built)
    model = openvino.Core().read_model(*irfile.unpack(artefact.read(), str(built)))
    with atomic_write(built) as stream:
        stream.write(_serialised(model, replace(artefact.card, acceptance=acceptance)))


def _serialised(model: openvino.Model, card: ModelCard) -> bytes:
    """The file of ``model`` with ``card``; OpenVINO writes to files only.

    Raises:
        OutputError: they cannot be written.
    """
    model.set_rt_info(card.to_json(), [CARD_KEY])
    with TemporaryDirectory() as folder:
        graph, weights = Path(folder, irfile.GRAPH), Path(folder, irfile.WEIGHTS)
        try:
            openvino.save_model(model, graph, compress_to_fp16=False)
        except RuntimeError as error:  # a full disk, or a limit on the size of files: it does not say which
            raise OutputError(
                f"{folder}: OpenVINO could not write its files here ({' '.join(str(error).split())[:200]}); "
                "make room, or set TMPDIR to another folder"
            ) from error
        return irfile.pack(graph.read_bytes(), weights.read_bytes())
