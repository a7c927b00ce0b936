"""A model file is known by its content and its card."""

import hashlib
import html
import json
import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_graph import TINY_CARD, tiny_model

from crossiqa_edge.card import CARD_KEY
from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.runtime import artefact as artefact_module
from crossiqa_edge.runtime.artefact import Artefact


def safetensors(header, payload=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + payload


WEIGHTS = safetensors(
    {
        "__metadata__": {CARD_KEY: TINY_CARD.to_json()},
        "w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    },
    bytes(8),
)


def opened(tmp_path, data, name="model.bin"):
    path = tmp_path / name
    path.write_bytes(data)
    return Artefact.open(path)


def test_an_onnx_file_whatever_its_name(tmp_path):
    data = tiny_model().SerializeToString()
    artefact = opened(tmp_path, data, "renamed.safetensors")
    assert artefact == Artefact(
        tmp_path / "renamed.safetensors", "onnx", TINY_CARD, hashlib.sha256(data).hexdigest(), len(data)
    )


def test_a_safetensors_file_whatever_its_name(tmp_path):
    artefact = opened(tmp_path, WEIGHTS, "renamed.onnx")
    assert (artefact.kind, artefact.card, artefact.size) == ("safetensors", TINY_CARD, len(WEIGHTS))


def test_our_reader_and_the_safetensors_library_agree(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    np = pytest.importorskip("numpy")
    tensors = {"a": np.arange(6, dtype=np.float32), "b": np.zeros((0, 3), np.int8)}
    data = library.save(tensors, metadata={CARD_KEY: TINY_CARD.to_json()})
    assert opened(tmp_path, data).card == TINY_CARD


def test_a_header_that_is_too_long_is_not_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr(artefact_module, "MAX_HEADER_BYTES", 50)
    with pytest.raises(ArtefactError, match=r"a header of \d+ bytes; this is not one of our models"):
        opened(tmp_path, WEIGHTS)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "empty"),
        (b"not a model at all", "not a sound ONNX file"),
        (tiny_model(None).SerializeToString(), "no model card.*crossiqa export"),
        (safetensors({}), "no model card.*crossiqa train"),
        (safetensors({"__metadata__": {CARD_KEY: 3}}), "no model card"),
        (safetensors({"__metadata__": {CARD_KEY: "{}"}}), "card format"),
        (safetensors({"__metadata__": [1]}), "header is damaged"),
        (safetensors({"w": {"data_offsets": [0]}}), "header is damaged"),
        (safetensors({"w": 1}), "header is damaged"),
        (safetensors(b"{" * 100_000), "header is damaged"),
        (safetensors(b"{\xff"), "header is damaged"),
        (safetensors({"w": {"data_offsets": [0, float("inf")]}}), "header is damaged"),
        (WEIGHTS[:-1], "bytes long instead of"),
        (WEIGHTS + b"x", "bytes long instead of"),
    ],
)
def test_unfit_files_are_refused_in_one_line(tmp_path, data, complaint):
    with pytest.raises(ArtefactError, match=complaint) as caught:
        opened(tmp_path, data)
    assert str(caught.value).startswith(str(tmp_path / "model.bin"))
    assert "\n" not in str(caught.value)


def rename_input(model):
    model.graph.input[0].name = "image"


def retype_output(model):
    model.graph.output[0].type.tensor_type.elem_type = 11


def fix_batch(model):
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def shrink_view(model):
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 112


def add_input(model):
    model.graph.input.add().CopyFrom(model.graph.input[0])


@pytest.mark.parametrize("edit", [rename_input, retype_output, fix_batch, shrink_view, add_input])
def test_a_graph_that_breaks_the_contract_is_refused(make_onnx, edit):
    with pytest.raises(ArtefactError, match="should have one port"):
        Artefact.open(make_onnx(edit))


def test_the_card_decides_the_view_size(make_onnx):
    with pytest.raises(ArtefactError, match=r"uint8 \(batch, 112, 112, 3\)"):
        Artefact.open(make_onnx(view_size=112))


def test_missing_files_folders_pipes_and_odd_names(tmp_path):
    with pytest.raises(ArtefactError, match="no such file; see `crossiqa models`"):
        Artefact.open(tmp_path / "absent.onnx")
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ArtefactError, match="a folder or device"):
            Artefact.open(path)
    for name in ("null\0.onnx", "x" * 5000):
        with pytest.raises(ArtefactError):
            Artefact.open(name)


def test_a_name_may_be_a_link_to_a_model(tmp_path, make_onnx):
    model = make_onnx()
    (tmp_path / "link.onnx").symlink_to(model)
    artefact = Artefact.open(tmp_path / "link.onnx")
    assert artefact.read() == model.read_bytes()
    assert artefact.path == tmp_path / "link.onnx"
    (tmp_path / "dangling.onnx").symlink_to(tmp_path / "absent")
    with pytest.raises(ArtefactError, match="no such file"):
        Artefact.open(tmp_path / "dangling.onnx")


def test_a_link_beside_a_model_is_not_what_its_external_data_may_name(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(8))
    (tmp_path / "weights.bin").symlink_to(secret)
    model = tiny_model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = tensor.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    with pytest.raises(ArtefactError, match="in other files, which is refused"):
        opened(tmp_path, model.SerializeToString(), "model.onnx")


def test_a_link_inside_an_archive_leads_nowhere(tmp_path):
    """To zip a link is a member whose bytes are a path; whoever unpacked it by its name would follow it."""
    graph = tmp_path / "graph.xml"
    graph.write_text(f'<{CARD_KEY} value="{html.escape(TINY_CARD.to_json())}"/>')
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        for name, compression in (("model.xml", zipfile.ZIP_DEFLATED), ("model.bin", zipfile.ZIP_STORED)):
            member = zipfile.ZipInfo(name)
            member.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(member, str(graph), compression)
    with pytest.raises(ArtefactError, match="no model card"):
        Artefact.open(tmp_path / "m.zip")


def test_a_file_that_changed_after_it_was_checked_is_not_read(make_onnx):
    path = make_onnx()
    artefact = Artefact.open(path)
    assert hashlib.sha256(artefact.read()).hexdigest() == artefact.sha256
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ArtefactError, match="changed"):
        artefact.read()


@settings(max_examples=300, deadline=10_000)
@given(st.binary(max_size=400), st.integers(0, 500), st.integers(1, 255))
def test_any_damage_to_a_safetensors_file_raises_nothing_but_our_error(extra, at, flip):
    data = bytearray(WEIGHTS)
    data[at % len(data)] ^= flip
    for damaged in (bytes(data), safetensors(b"{" + extra), bytes(data[:at]) + extra):
        parse_or_refuse(damaged)


def parse_or_refuse(data):
    try:
        Artefact.parse(data, Path("x"))
    except ArtefactError as error:
        assert "\n" not in str(error)
