"""The target ``triton-server``: a model repository for NVIDIA's Triton Inference Server.

    OUT/<name>/config.pbtxt     what the server must know
    OUT/<name>/card.json        the model card
    OUT/<name>/1/model.onnx     the graph, for the server's onnxruntime backend

A request holds uint8 views (V, S, S, 3), as ``crossiqa_edge.imaging.sampling.sample`` makes them, and the
answer their scores, float32 (V, 1): the server wants an axis beside the batch's, which the graph's (V,) has
not. The server gathers requests into batches. Written by the server's documentation and checked against its
message types; not run on a server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from crossiqa_edge.atomic import atomic_write, write_text
from crossiqa_edge.card import ModelCard
from crossiqa_edge.export.folders import atomic_folder
from crossiqa_edge.export.targets import Options, Progress
from crossiqa_edge.export.writing import with_card
from crossiqa_edge.runtime.artefact import Artefact

# How long a request may wait for company: a small part of what the inference takes on a server's GPU.
QUEUE_DELAY_MICROSECONDS = 1000

_CONFIG = """\
# {identity}, {precision}; scores from 0 (bad) to 100 (excellent)
name: "{name}"
backend: "onnxruntime"
max_batch_size: {max_batch}
input [
  {{
    name: "views"
    data_type: TYPE_UINT8
    dims: [ {size}, {size}, 3 ]
  }}
]
output [
  {{
    # One number a view: the graph gives (batch), and the server wants at least one more axis.
    name: "score"
    data_type: TYPE_FP32
    dims: [ 1 ]
    reshape {{ shape: [ ] }}
  }}
]
dynamic_batching {{
  preferred_batch_size: [ {preferred} ]
  max_queue_delay_microseconds: {delay}
}}
instance_group [ {{ count: 1, kind: KIND_AUTO }} ]
version_policy {{ latest {{ num_versions: 1 }} }}
parameters {{ key: "model_identity", value {{ string_value: "{identity}" }} }}
parameters {{ key: "sampling", value {{ string_value: "{sampling}" }} }}
"""


def build(source: Artefact, out: Path, options: Options, progress: Progress) -> Path:
    """Write the model repository ``out`` with the one model ``source``; gives the path of its graph.

    Raises:
        OutputError: ``out`` exists or cannot be written.
        ArtefactError: the artefact changed since it was opened.
    """
    name = model_name(source)
    progress("writing the model repository")
    with atomic_folder(out) as folder:
        version = folder / name / "1"
        version.mkdir(parents=True)
        write_text(folder / name / "config.pbtxt", config(source, options))
        _write(source.read(), replace(source.card, acceptance={}), version / "model.onnx")
    return out / name / "1" / "model.onnx"


def record(built: Path, acceptance: Mapping[str, Any]) -> None:
    """Put the verdict on the graph ``built`` into its card, and into the one beside it.

    Raises:
        ArtefactError: it is no graph of ours.
        OutputError: it cannot be written.
    """
    artefact = Artefact.open(built)
    _write(artefact.read(), replace(artefact.card, acceptance=acceptance), built)


def _write(graph: bytes, card: ModelCard, path: Path) -> None:
    with atomic_write(path) as stream:
        stream.write(with_card(graph, card))
    write_text(path.parents[1] / "card.json", card.to_json())


def model_name(source: Artefact) -> str:
    """The model's name on the server: letters, digits, ``_`` and ``-`` of its card's name and precision."""
    return "crossiqa-" + re.sub(r"[^A-Za-z0-9_-]", "-", f"{source.card.name}-{source.card.precision}")[:100]


def config(source: Artefact, options: Options) -> str:
    """The text of ``config.pbtxt``, a ``ModelConfig`` message of the server."""
    card = source.card
    sizes = sorted({options.opt_batch, options.max_batch})
    return _CONFIG.format(
        name=model_name(source),
        identity=_quoted(card.identity),
        precision=_quoted(card.precision),
        sampling=card.sampling,
        size=card.view_size,
        max_batch=options.max_batch,
        preferred=", ".join(map(str, sizes)),
        delay=QUEUE_DELAY_MICROSECONDS,
    )


def _quoted(text: str) -> str:
    """``text`` within double quotes or in a comment: a card may hold anything that can be printed."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
