"""``crossiqa export --to openvino``: the same scores out of OpenVINO's own form."""

from dataclasses import replace
from io import BytesIO
from zipfile import ZipFile

import numpy as np
import pytest

pytest.importorskip("openvino", reason="needs the openvino extra")

from crossiqa_edge import weights
from crossiqa_edge.errors import ArtefactError, OutputError
from crossiqa_edge.export.openvino import build, record
from crossiqa_edge.export.targets import Options
from crossiqa_edge.runtime import irfile, ort
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.openvino import open_backend


def silent(stage, share=None):
    pass


@pytest.fixture(scope="module")
def pair(micro_export, tmp_path_factory):
    """An ONNX artefact and what was built of it."""
    source = Artefact.open(micro_export.onnx)
    out = tmp_path_factory.mktemp("openvino") / "micro.openvino.zip"
    return source, Artefact.open(build(source, out, Options(), silent))


def test_card_and_scores_are_those_of_the_graph(pair):
    source, made = pair
    assert (made.kind, made.card) == ("openvino", replace(source.card, acceptance={}))
    assert source.card.acceptance, "the graph's verdict is not the file's"
    views = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    expected = ort.open_backend(source).infer(views)
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(open_backend(made).infer(views), expected, atol=1e-3)


def test_a_verdict_changes_the_card_and_nothing_else(pair, tmp_path):
    made = tmp_path / "m.zip"
    made.write_bytes(pair[1].read())
    record(made, {"passed": True, "srcc": 0.9})
    after = Artefact.open(made)
    assert after.card == replace(pair[1].card, acceptance={"passed": True, "srcc": 0.9})
    (graph, weights_before), (changed, weights_after) = (
        irfile.unpack(file.read(), "x") for file in (pair[1], after)
    )
    assert weights_after == weights_before
    other = [
        (old, new) for old, new in zip(graph.splitlines(), changed.splitlines(), strict=True) if old != new
    ]
    assert len(other) == 1 and b"crossiqa_card" in other[0][0]


@pytest.mark.parametrize(
    "name", [name for name in weights.available() if f"{name}-int8" in weights.available()]
)
def test_int8_files_of_shipped_models_are_small(name, tmp_path):
    size = {
        key: build(Artefact.open(weights.find(key)), tmp_path / key, Options(), silent).stat().st_size
        for key in (name, f"{name}-int8")
    }
    assert size[f"{name}-int8"] <= 0.3 * size[name]


def test_weights_stay_float32(pair):
    source, made = pair
    _, weights = irfile.unpack(made.read(), "x")
    assert len(weights) > 0.95 * source.size


def test_other_tools_can_read_the_pair(pair, tmp_path):
    import openvino

    with ZipFile(BytesIO(pair[1].read())) as archive:
        archive.extractall(tmp_path)
    model = openvino.Core().read_model(tmp_path / "model.xml")
    assert model.get_rt_info(["crossiqa_card"]).astype(str) == pair[1].card.to_json()


def test_nothing_is_left_where_it_fails(make_onnx, tmp_path):
    def missing_input(model):
        model.graph.node[2].input[1] = "nonesuch"

    source = Artefact.open(make_onnx(missing_input))
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(ArtefactError, match="OpenVINO does not accept this graph"):
        build(source, folder / "m.zip", Options(), silent)
    assert list(folder.iterdir()) == []
    with pytest.raises(OutputError):
        build(source, tmp_path / "nowhere" / "m.zip", Options(), silent)


def test_a_file_that_openvino_cannot_write_is_a_line(micro_export, tmp_path):
    resource = pytest.importorskip("resource", reason="no limits on the size of files here")
    source = Artefact.open(micro_export.onnx)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (source.size // 2, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"OpenVINO could not write .*; make room, or set TMPDIR"):
            build(source, tmp_path / "m.zip", Options(), silent)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_ports_are_checked_where_only_openvino_can_tell_them(tmp_path, tiny_onnx):
    """A graph of another size under a card for 224 pixels."""
    import openvino
    from tiny_graph import TINY_CARD, tiny_model

    model = openvino.Core().read_model(tiny_model(None, size=112).SerializeToString())
    model.set_rt_info(TINY_CARD.to_json(), ["crossiqa_card"])
    openvino.save_model(model, tmp_path / "m.xml", compress_to_fp16=False)
    path = tmp_path / "m.zip"
    path.write_bytes(irfile.pack((tmp_path / "m.xml").read_bytes(), (tmp_path / "m.bin").read_bytes()))
    with pytest.raises(ArtefactError, match="should turn views, uint8"):
        open_backend(Artefact.open(path))


@pytest.mark.parametrize("part", [0, 1])
def test_parts_that_do_not_fit_are_one_line(pair, tmp_path, part):
    parts = list(irfile.unpack(pair[1].read(), "x"))
    parts[part] = (
        parts[part][: len(parts[part]) // 2] if part else parts[part].replace(b"offset=", b"offset=9", 1)
    )
    path = tmp_path / "m.zip"
    path.write_bytes(irfile.pack(*parts))
    with pytest.raises(ArtefactError) as caught:
        open_backend(Artefact.open(path))
    assert "\n" not in str(caught.value)


def test_an_int8_graph_is_compiled_and_scores_as_with_onnxruntime(micro_export, tmp_path):
    onnx = pytest.importorskip("onnx")
    from crossiqa_edge.export.quantise import Calibration, Quantiser
    from crossiqa_edge.export.surgery import Surgery

    views = np.random.default_rng(0).integers(0, 256, (8, 224, 224, 3), np.uint8)
    model = onnx.load(micro_export.onnx)
    for index, tensor in enumerate(model.graph.initializer):
        value = onnx.numpy_helper.to_array(tensor)
        if tensor.name.endswith(".bias") and not value.any():
            # as after training: OpenVINO 2026.4 drops biases of zero, and then refuses the reshape behind
            value = np.random.default_rng(index).normal(0, 0.02, value.shape).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name))
    quantiser = Quantiser(Surgery(model), views, Calibration())
    path = tmp_path / "int8.onnx"
    path.write_bytes(quantiser.quantised(quantiser.default_layers()).SerializeToString())
    source = Artefact.open(path)
    made = Artefact.open(build(source, tmp_path / "int8.openvino.zip", Options(), silent))
    _, weights = irfile.unpack(made.read(), "x")
    assert len(weights) < 0.5 * micro_export.onnx.stat().st_size, "weights did not stay int8"
    expected = ort.open_backend(source).infer(views)
    assert np.ptp(expected) > 0.1
    # int8 sums are exact; a rounding of float32 before a quantiser may shift one step here and there
    np.testing.assert_allclose(open_backend(made).infer(views), expected, atol=0.1)
    np.testing.assert_allclose(open_backend(source).infer(views), expected, atol=0.1)
