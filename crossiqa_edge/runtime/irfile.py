"""OpenVINO's intermediate representation in one file, so that an artefact stays one thing with one hash.

OpenVINO writes a graph (``.xml``) and its weights (``.bin``). Two files can be parted, and a graph with
another's weights is not noticed. Here both lie in a zip archive under the names ``model.xml``, compressed,
and ``model.bin``, stored; ``unzip`` gives the pair that other OpenVINO tools take. The model card is in the
graph's ``rt_info``.
"""

from __future__ import annotations

import html
import re
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from crossiqa_edge.card import CARD_KEY, ModelCard
from crossiqa_edge.errors import ArtefactError

GRAPH, WEIGHTS = "model.xml", "model.bin"
MAX_GRAPH_BYTES = 64 << 20  # ours are half a MiB; the weights are bounded by the size of the file

_MEMBERS = {GRAPH: ZIP_DEFLATED, WEIGHTS: ZIP_STORED}  # XML shrinks tenfold, weights hardly
_MAGIC = b"PK\x03\x04"
_CARD = re.compile(rb'<%s value="([^"]*)"' % CARD_KEY.encode())


def is_ir(data: bytes) -> bool:
    """Whether ``data`` begins as a zip archive; no other artefact does."""
    return data.startswith(_MAGIC)


def pack(graph: bytes, weights: bytes) -> bytes:
    """The archive; equal parts give equal bytes."""
    stream = BytesIO()
    with ZipFile(stream, "w") as archive:
        for (name, compression), part in zip(_MEMBERS.items(), (graph, weights), strict=True):
            archive.writestr(ZipInfo(name), part, compression)
    return stream.getvalue()


def unpack(data: bytes, where: str) -> tuple[bytes, bytes]:
    """Graph and weights; nothing is written to the disk.

    Raises:
        ArtefactError: damaged, too large when unpacked, or with other members than the two.
    """
    try:
        with ZipFile(BytesIO(data)) as archive:
            members = archive.infolist()
            found = [(member.filename, member.compress_type) for member in members]
            # no member gives more than the size in its entry, whatever its compressed bytes hold
            if found != list(_MEMBERS.items()) or members[0].file_size > MAX_GRAPH_BYTES:
                raise ArtefactError(
                    f"{where}: a zip archive, but not of a compressed {GRAPH} and a stored {WEIGHTS}; "
                    "make the file with `crossiqa export --to openvino`"
                )
            return archive.read(GRAPH), archive.read(WEIGHTS)
    except ArtefactError:
        raise
    except Exception as error:  # what zipfile raises on hostile bytes is a long list, and grows
        raise ArtefactError(f"{where}: a damaged archive ({error}); get the file again") from None


def card_of(data: bytes, where: str) -> ModelCard:
    """The card in the graph.

    Raises:
        ArtefactError: as ``unpack``, or without a sound card.
    """
    graph, _ = unpack(data, where)
    found = _CARD.search(graph)
    if found is None:
        raise ArtefactError(
            f"{where}: it has no model card, so its scores mean nothing; "
            "make the file with `crossiqa export --to openvino`"
        )
    try:
        text = html.unescape(found[1].decode())
    except UnicodeDecodeError:
        raise ArtefactError(f"{where}: the model card is no text; export the model again") from None
    return ModelCard.from_json(text, where)
