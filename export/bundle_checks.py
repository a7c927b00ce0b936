"""What a bundle is refused for. What any precision of the model shows is refused before it is exported."""

from __future__ import annotations

import os
from pathlib import Path

import onnx

from crossiqa_edge.errors import ConfigError, OutputError
from crossiqa_edge.export.archives import SUFFIXES
from crossiqa_edge.export.attention_nodes import has_nodes
from crossiqa_edge.export.bundle_targets import DeviceKind
from crossiqa_edge.export.graph import OPSET
from crossiqa_edge.runtime.artefact import Artefact

_OTHER_ARCHIVES = {".tar", ".tgz", ".gz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".7z", ".rar"}


def check_parts(source: Artefact, out: Path, original: Artefact | None, kernels: Path | None) -> None:
    """Refuse an output or a part that does not go with ``source``, the model in whatever precision.

    Raises:
        ConfigError: ``original`` is not its float32 graph, or ``kernels`` are another model's.
        ArtefactError: ``kernels`` is damaged.
        OutputError: ``out`` exists, cannot be written, or is named like an archive of another kind.
    """
    _check_output(out)
    if original is not None:
        _check_original(original, source)
    if kernels is not None:
        _check_kernels(kernels, source)
    if source.kind == "onnx" and (source.card.opset or 0) <= OPSET:  # later ones are made anew of the weights
        _check_plugin(source)


def check_graph(source: Artefact, kind: DeviceKind) -> None:
    """ConfigError for a graph that would be scored here and then not be built on the device."""
    if (source.card.opset or 0) > OPSET:
        raise ConfigError(
            f"{source.path}: a graph of opset {source.card.opset}, whose Attention operator TensorRT "
            f"({kind.tensorrt}) does not take; export it with --opset {OPSET}"
        )
    _check_plugin(source)


def _check_plugin(source: Artefact) -> None:
    if has_nodes(onnx.load_from_string(source.read())):
        raise ConfigError(
            f"{source.path}: asks for the attention plugin, which is compiled with torch and Triton and does "
            "not come along; export it without --plugin"
        )


def _check_output(out: Path) -> None:
    if not out.name.endswith(SUFFIXES) and out.suffix in _OTHER_ARCHIVES:  # would become a folder's name
        raise OutputError(f"{out}: cannot write such an archive; end its name with {' or '.join(SUFFIXES)}")
    if os.path.lexists(out):
        raise OutputError(f"{out}: exists already; choose another name or remove it")
    folder = out.absolute().parent
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        why = "not writable" if folder.is_dir() else "no such folder"
        raise OutputError(f"{out}: cannot write here ({why}); choose another path")


def _check_original(original: Artefact, source: Artefact) -> None:
    card = original.card
    found = (original.kind, card.precision, card.weights_sha256)
    if found != ("onnx", "fp32", source.card.weights_sha256):
        raise ConfigError(
            f"{original.path}: {card.identity} in {card.precision} ({original.kind}) is not the float32 ONNX "
            f"file of {source.card.identity}; give that with --reference"
        )


def _check_kernels(path: Path, source: Artefact) -> None:
    from crossiqa_edge.kernels.pack import Pack

    pack = Pack.open(path)
    if pack.model != source.card.identity:
        raise ConfigError(
            f"{path}: kernels of {pack.model}, not of {source.card.identity}; build them of the same weights"
        )
