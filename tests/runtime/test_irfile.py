"""OpenVINO's representation in one file: whole, with its card, or refused."""

import html
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import pytest
from tiny_graph import TINY_CARD

from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.runtime import irfile
from crossiqa_edge.runtime.artefact import Artefact

GRAPH = f'<net><rt_info><crossiqa_card value="{html.escape(TINY_CARD.to_json())}" /></rt_info></net>'.encode()
WEIGHTS = bytes(range(64))


def archive(*members):
    stream = BytesIO()
    with ZipFile(stream, "w") as made:
        for name, data, compression in members:
            made.writestr(name, data, compression)
    return stream.getvalue()


XML, BIN = ("model.xml", GRAPH, ZIP_DEFLATED), ("model.bin", WEIGHTS, ZIP_STORED)


def test_what_goes_in_comes_out_and_always_as_the_same_bytes():
    data = irfile.pack(GRAPH, WEIGHTS)
    assert irfile.is_ir(data)
    assert irfile.unpack(data, "x") == (GRAPH, WEIGHTS)
    assert data == irfile.pack(GRAPH, WEIGHTS)


def test_it_is_known_by_what_is_in_it(tmp_path):
    path = tmp_path / "m.bin"
    path.write_bytes(irfile.pack(GRAPH, WEIGHTS))
    artefact = Artefact.open(path)
    assert (artefact.kind, artefact.card) == ("openvino", TINY_CARD)


@pytest.mark.parametrize(
    "data",
    [
        archive(XML),
        archive(BIN, XML),
        archive(XML, BIN, ("../evil", b"", ZIP_STORED)),
        archive(XML, ("model.bin", bytes(1 << 20), ZIP_DEFLATED)),
        archive(("model.xml", bytes(irfile.MAX_GRAPH_BYTES + 1), ZIP_DEFLATED), BIN),
    ],
)
def test_other_archives_are_refused(data):
    with pytest.raises(ArtefactError, match=r"m\.zip: a zip archive, but not of a compressed model\.xml and"):
        irfile.unpack(data, "m.zip")


def test_without_a_card_it_is_no_artefact():
    with pytest.raises(ArtefactError, match="no model card"):
        irfile.card_of(irfile.pack(b"<net/>", WEIGHTS), "m.zip")


def test_every_truncation_and_every_flipped_byte_is_an_error_of_ours_or_harmless():
    """Harmless: a byte that no reader looks at, such as a time stamp; the parts are what they were."""
    data = irfile.pack(GRAPH, WEIGHTS)
    for length in range(len(data)):
        with pytest.raises(ArtefactError):
            irfile.unpack(data[:length], "x")
    seen = 0
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 0xFF
        try:
            parts = irfile.unpack(bytes(flipped), "x")
        except ArtefactError as error:
            assert "\n" not in str(error)
            seen += 1
        else:
            assert parts == (GRAPH, WEIGHTS)
    assert seen > len(data) / 2


def test_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    irfile.unpack(irfile.pack(GRAPH, WEIGHTS), "x")
    assert list(Path().iterdir()) == []
