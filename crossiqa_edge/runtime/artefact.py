"""``Artefact``: one model file, known by what is in it and by its card, never by its name."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crossiqa_edge.card import CARD_KEY, ModelCard
from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.runtime import engine_file, irfile
from crossiqa_edge.runtime.onnxfile import FLOAT, MAX_BYTES, UINT8, Dim, Port, read_onnx
from crossiqa_edge.runtime.private_files import read_private

MAX_HEADER_BYTES = 16 << 20

Kind = Literal["onnx", "safetensors", "openvino", "engine"]


@dataclass(frozen=True)
class Artefact:
    """A model file that was read and found sound.

    Attributes:
        path: where it lies.
        kind: ``onnx`` (a graph from uint8 views to the calibrated score), ``safetensors`` (bare weights),
            ``openvino`` (its representation, see ``irfile``) or ``engine`` (a TensorRT plan that was built
            on this machine).
        card: the model card embedded in it.
        sha256: of the whole file, 64 hex digits.
        size: of the file, in bytes.
    """

    path: Path
    kind: Kind
    card: ModelCard
    sha256: str
    size: int

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Artefact:
        """Read and check the model file at ``path``.

        The name may be a link, as caches of models have them: whoever names a file could as well name what
        the link leads to. What a file's content names is never followed, and an engine, which is native code,
        is not read through a link.

        Raises:
            ArtefactError: missing, unreadable, damaged, hostile, of unknown kind, or without a card.
        """
        path = Path(path)
        return cls.parse(_read(path), path)

    @classmethod
    def parse(cls, data: bytes, path: Path) -> Artefact:
        """The same for the bytes of a file that is, or is about to be, at ``path``."""
        kind: Kind
        if _is_safetensors(data):
            kind, card = "safetensors", _safetensors_card(data, str(path))
        elif irfile.is_ir(data):
            kind, card = "openvino", irfile.card_of(data, str(path))
        elif engine_file.is_engine(data):
            kind, card = "engine", engine_file.unpack(data, str(path))[0].card
        else:
            kind, card = "onnx", _onnx_card(data, str(path))
        return cls(path, kind, card, hashlib.sha256(data).hexdigest(), len(data))

    def read(self) -> bytes:
        """The bytes that were checked when the artefact was opened.

        Raises:
            ArtefactError: the file has changed since, or is gone.
        """
        data = _read(self.path)
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ArtefactError(f"{self.path}: the file changed while it was being opened; load it again")
        return data


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            what = "a folder or device, not a model file" if path.exists() else "no such file"
            raise ArtefactError(f"{path}: {what}; see `crossiqa models` for the models that come along")
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise ArtefactError(f"{path}: cannot be read ({getattr(error, 'strerror', error)})") from error
    if len(data) > MAX_BYTES:
        raise ArtefactError(f"{path}: larger than {MAX_BYTES >> 20} MiB; this is not one of our models")
    if not data:
        raise ArtefactError(f"{path}: the file is empty; get it again")
    # Native code: once more, from a place that nobody else may have touched.
    return read_private(path, MAX_BYTES) if engine_file.is_engine(data) else data


def _is_safetensors(data: bytes) -> bool:
    """A little-endian uint64 length that fits the file, then a JSON object; no protobuf begins so."""
    return data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data) - 8


def _safetensors_card(data: bytes, where: str) -> ModelCard:
    """The card in the header's ``__metadata__``; the header is read by hand, without the library."""
    length = int.from_bytes(data[:8], "little")
    if length > MAX_HEADER_BYTES:
        raise ArtefactError(f"{where}: a header of {length} bytes; this is not one of our models")
    try:
        header = json.loads(data[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        text = metadata.get(CARD_KEY)
        end = max((int(tensor["data_offsets"][1]) for tensor in header.values()), default=0)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise ArtefactError(f"{where}: its safetensors header is damaged; get the file again") from error
    if 8 + length + end != len(data):
        raise ArtefactError(f"{where}: {len(data)} bytes long instead of {8 + length + end}; get it again")
    return _card(text, where, "save the weights with `crossiqa train`")


def _onnx_card(data: bytes, where: str) -> ModelCard:
    found = read_onnx(data, where)
    card = _card(found.metadata.get(CARD_KEY), where, "make the file with `crossiqa export`")
    side = card.view_size
    _check_port(found.inputs, "views", UINT8, (None, side, side, 3), where)
    _check_port(found.outputs, "score", FLOAT, (None,), where)
    return card


def _card(text: object, where: str, remedy: str) -> ModelCard:
    if not isinstance(text, str):
        raise ArtefactError(f"{where}: it has no model card, so its scores mean nothing; {remedy}")
    return ModelCard.from_json(text, where)


def _check_port(ports: list[Port], name: str, kind: int, dims: tuple[Dim, ...], where: str) -> None:
    """ArtefactError unless ``ports`` is the one port named, with the fixed ``dims`` and a free batch."""
    if len(ports) == 1:
        port = ports[0]
        free_batch = bool(port.dims) and not isinstance(port.dims[0], int)
        if (port.name, port.kind, port.dims[1:]) == (name, kind, dims[1:]) and free_batch:
            return
    type_name = "uint8" if kind == UINT8 else "float32"
    shape = ", ".join(["batch", *map(str, dims[1:])])
    raise ArtefactError(
        f"{where}: the graph should have one port {name!r}, {type_name} ({shape}); "
        "make the file with `crossiqa export`"
    )
