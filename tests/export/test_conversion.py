"""From a model to an artefact: what is planned, what is refused, and what a failure leaves behind."""

import json
from dataclasses import replace

import numpy as np
import pytest

from crossiqa_edge import weights
from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.errors import ArtefactError, ConfigError, OutputError
from crossiqa_edge.export import building, conversion
from crossiqa_edge.export.conversion import Recipe, convert, plan
from crossiqa_edge.export.targets import TARGETS
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.onnxfile import read_onnx
from crossiqa_edge.runtime.ort import open_backend


def quiet(stage, share=None):
    pass


@pytest.fixture(scope="module")
def int8(micro_export, tmp_path_factory):
    output = tmp_path_factory.mktemp("int8") / "m.onnx"
    return convert(plan(micro_export.onnx, output=output, recipe=Recipe("int8")), quiet)


def test_an_int8_file_says_how_it_was_made_and_accepted(int8, micro_export):
    artefact = Artefact.open(int8.path)
    card = artefact.card
    assert (card.precision, card.weights_sha256) == (
        "int8",
        Artefact.open(micro_export.onnx).card.weights_sha256,
    )
    assert card.acceptance == json.loads(json.dumps(int8.acceptance.to_dict()))
    assert card.acceptance["passed"] and card.acceptance["srcc"] >= 0.995
    assert card.quantisation["method"] == "percentile" and card.quantisation["views"] >= 200
    assert card.quantisation["float_layers"] == ["embedding.0", "embedding.1", "embedding.2"]
    assert {"QuantizeLinear", "DequantizeLinear"} <= {
        name for _, name in read_onnx(artefact.read()).operators
    }
    assert [path.name for path in int8.path.parent.iterdir()] == ["m.onnx"]


def test_what_was_measured_of_the_fp32_file_is_not_said_of_another(micro_export):
    single = Artefact.open(micro_export.onnx)
    measured = replace(single, card=replace(single.card, accuracy={"kodak": {"srcc": 0.8}}))
    _, card, _ = conversion._in_precision(Recipe("fp16"), measured, quiet)
    assert (card.precision, card.accuracy) == ("fp16", {})


class Copying:
    """A target's builder that copies the graph, and writes down what it was told."""

    def __init__(self):
        self.sources, self.verdicts, self.discarded, self.left = [], [], [], []

    def build(self, source, out, options, progress):
        self.left.append({path.name for path in out.parents[1].iterdir() if path.is_file()})
        self.sources.append(source)
        with atomic_write(out) as stream:
            stream.write(source.read())
        return out

    def record(self, built, acceptance):
        assert built.exists()
        self.verdicts.append(acceptance)

    def discard(self, built, *, refused):
        self.discarded.append(refused)


@pytest.fixture
def copying(monkeypatch):
    made = Copying()
    monkeypatch.setattr(
        building, "_builder", lambda row: building.Builder(made.build, made.record, made.discard)
    )
    monkeypatch.setattr(conversion, "check", lambda *given: None)  # neither TensorRT nor a GPU need be here
    for name in ("openvino", "tensorrt"):
        monkeypatch.setitem(TARGETS, name, replace(TARGETS[name], backend="onnxruntime"))
    return made


def test_a_graph_that_is_in_its_precision_is_built_from_as_it_is_and_judged_by_the_original(
    int8, micro_export, tmp_path, copying
):
    output = tmp_path / "x.zip"
    made = convert(
        plan(int8.path, "openvino", output, recipe=Recipe("int8"), reference=micro_export.onnx), quiet
    )
    assert copying.sources == [Artefact.open(int8.path)]
    assert made.acceptance is None
    assert made.built.max_difference == int8.acceptance.max_difference > 0
    assert made.built.against == "fp32"
    assert (copying.verdicts, copying.discarded) == ([made.built.to_dict()], [])
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


def test_where_nobody_knows_the_original_it_is_said_everywhere(int8, tmp_path, copying):
    planned = plan(int8.path, "openvino", tmp_path / "x.zip", recipe=Recipe("int8"))
    assert planned.original is None
    assert "with the int8 source alone" in planned.steps[0]
    made = convert(planned, quiet)
    assert str(made.built).endswith("against the int8 source alone")
    assert copying.verdicts[0]["reference_bits"] == 8
    assert int8.acceptance.to_dict()["reference_bits"] == 32


def test_a_shipped_model_is_judged_by_the_shipped_float32_one(tmp_path):
    planned = plan("nano-int8", "triton-server", tmp_path / "x", recipe=Recipe("int8"))
    assert planned.original == Artefact.open(weights.find("nano"))


def test_what_an_openvino_file_says_of_itself_is_what_was_measured_of_it(tmp_path):
    pytest.importorskip("openvino", reason="needs the openvino extra")
    made = convert(plan("nano-int8", "openvino", tmp_path / "x.zip", recipe=Recipe("int8")), quiet)
    kept = Artefact.open(made.path).card.acceptance
    assert kept == json.loads(json.dumps(made.built.to_dict()))
    assert kept != Artefact.open(weights.find("nano-int8")).card.acceptance
    assert kept["max_difference"] > 0.2  # OpenVINO's int8 differs from onnxruntime's int8 by less


def test_what_a_servers_model_says_of_itself_is_what_was_measured_of_it(int8, micro_export, tmp_path):
    output = tmp_path / "repository"
    planned = plan(int8.path, "triton-server", output, recipe=Recipe("int8"), reference=micro_export.onnx)
    made = convert(planned, quiet)
    (graph,) = output.rglob("model.onnx")
    assert Artefact.open(graph).card.acceptance == json.loads(json.dumps(made.built.to_dict()))
    assert made.built.max_difference > 0
    assert made.graph == Artefact.open(graph)
    (beside,) = output.rglob("card.json")
    assert json.loads(beside.read_text()) == json.loads(Artefact.open(graph).card.to_json())


def test_an_original_of_other_weights_or_in_less_precision_is_refused(int8, micro_export, tmp_path):
    with pytest.raises(ArtefactError, match="give the original with --reference"):
        plan(int8.path, "openvino", tmp_path / "x.zip", recipe=Recipe("int8"), reference="nano")
    with pytest.raises(ArtefactError, match=r"int8; --reference takes a float32 graph or the weights"):
        plan(micro_export.onnx, "openvino", tmp_path / "x.zip", reference=int8.path)


@pytest.mark.parametrize("wrong", [50, float("nan"), KeyboardInterrupt])
def test_what_a_builder_made_wrongly_is_not_left(int8, tmp_path, copying, monkeypatch, wrong):
    def infer(views):
        if wrong is KeyboardInterrupt:
            raise KeyboardInterrupt
        return np.full(len(views), wrong, np.float32)

    def upside_down(artefact, name):
        backend = open_backend(artefact, reason="test")
        monkeypatch.setattr(backend, "infer", infer)
        return backend

    monkeypatch.setattr(building, "open_backend", upside_down)
    with pytest.raises((ArtefactError, KeyboardInterrupt), match=r"not accepted against|not finite|^$"):
        convert(plan(int8.path, "openvino", tmp_path / "x.zip", recipe=Recipe("int8")), quiet)
    assert list(tmp_path.iterdir()) == []
    assert (copying.discarded, copying.verdicts) == ([wrong is not KeyboardInterrupt], [])


def exported_engine(micro_export, tmp_path):
    return convert(plan(micro_export.onnx, "tensorrt", tmp_path / "m.engine", recipe=Recipe("fp16")), quiet)


def test_an_engine_and_its_graph_are_named_only_once_the_engine_was_accepted(
    micro_export, tmp_path, copying, monkeypatch
):
    made = exported_engine(micro_export, tmp_path)
    assert made.graph == Artefact.open(tmp_path / "m.onnx")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {"m.engine", "m.onnx"}
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes())  # the same again: what is not replaced keeps its number
    numbers = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
    monkeypatch.setattr(building, "require", refuse)
    with pytest.raises(ArtefactError, match="not accepted"):
        exported_engine(micro_export, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert {path.name: path.stat().st_ino for path in tmp_path.iterdir()} == numbers
    assert copying.left == [set(), {"m.engine", "m.onnx"}]


def refuse(acceptance, what):
    raise ArtefactError(f"{what}: not accepted")


@pytest.mark.parametrize("to", ["openvino", "tensorrt", "onnx"])
def test_a_link_of_the_outputs_name_is_followed_and_stays(micro_export, tmp_path, copying, to):
    real, link = tmp_path / "real" / "x.engine", tmp_path / "link.engine"
    real.parent.mkdir()
    real.write_text("older")
    link.symlink_to(real)
    precision = "fp32" if to == "openvino" else "fp16"
    made = convert(plan(micro_export.onnx, to, link, recipe=Recipe(precision)), quiet)
    assert link.is_symlink() and made.path == link
    assert Artefact.open(real).card.precision == precision
    beside = {"x.engine", "x.onnx"} if to == "tensorrt" else {"x.engine"}
    assert {path.name for path in real.parent.iterdir()} == beside  # the graph beside the engine itself
    assert made.graph.path.exists()


def test_only_a_graph_that_is_left_is_told(micro_export, int8, tmp_path, copying):
    made = convert(plan(micro_export.onnx, "openvino", tmp_path / "x", recipe=Recipe("int8")), quiet)
    assert (made.kept, made.card.precision) == (None, "int8")
    with pytest.raises(ConfigError, match=r"x: its ONNX graph was not kept; export it with --to onnx"):
        _ = made.graph
    taken = convert(plan(int8.path, "openvino", tmp_path / "y", recipe=Recipe("int8")), quiet)
    assert taken.graph.path == int8.path


def test_an_error_names_the_output_and_not_where_it_was_made(micro_export, tmp_path, copying, monkeypatch):
    def full(source, out, options, progress):
        raise OutputError(f"{out}/1/model.onnx: not written (No space left on device); make room")

    monkeypatch.setattr(copying, "build", full)
    output = tmp_path / "x.zip"
    with pytest.raises(OutputError, match=rf"^{output}: not written \(No space left on device\)"):
        convert(plan(micro_export.onnx, "openvino", output), quiet)


def test_an_fp16_file_that_is_not_accepted_is_not_left(micro_export, tmp_path, monkeypatch):
    limits = {**building.LIMITS, "fp16": replace(building.LIMITS["fp16"], max_difference=0.0)}
    monkeypatch.setattr("crossiqa_edge.export.writing.LIMITS", limits)
    with pytest.raises(ArtefactError, match=r"a score differs by .* nothing was written"):
        convert(plan(micro_export.onnx, output=tmp_path / "m.onnx", recipe=Recipe("fp16")), quiet)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("recipe", "to", "words"),
    [
        (Recipe("fp16"), "openvino", "use --precision fp32"),
        (Recipe("int8", opset=19), "onnx", "opset 19; choose from 18, 23"),
        (Recipe("fp16", search_limit=0.1), "onnx", "--search finds int8 layers"),
    ],
)
def test_what_makes_no_sense_is_refused(micro_export, recipe, to, words):
    with pytest.raises(ConfigError, match=words):
        plan(micro_export.onnx, to, recipe=recipe)


def test_a_graph_that_already_is_what_is_asked_for_is_refused(int8, micro_export, tmp_path):
    with pytest.raises(ConfigError, match="already int8; use --precision int8, or give the float32 graph"):
        plan(int8.path, "triton-server", tmp_path / "repository")
    with pytest.raises(ConfigError, match="already int8; give the"):
        plan(int8.path, output=tmp_path / "x.onnx", recipe=Recipe("fp16"))
    alone = tmp_path / "alone.onnx"
    alone.write_bytes(micro_export.onnx.read_bytes())
    with pytest.raises(ConfigError, match="is a float32 graph of opset 18 already"):
        plan(alone, output=tmp_path / "x.onnx")


def test_neither_the_model_nor_a_folder_is_overwritten(micro_export, tmp_path):
    with pytest.raises(ConfigError, match="would overwrite the model"):
        plan(micro_export.weights, output=micro_export.weights)
    with pytest.raises(ConfigError, match="exists; give another name"):
        plan(micro_export.onnx, "triton-server", tmp_path)


def test_a_folder_that_is_missing_is_found_out_before_the_work(micro_export, tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "_in_precision", None)
    with pytest.raises(OutputError, match="cannot write here"):
        convert(plan(micro_export.onnx, output=tmp_path / "absent" / "m.onnx", recipe=Recipe("fp16")), quiet)


def test_names_are_made_of_model_precision_and_target(micro_export, monkeypatch):
    monkeypatch.setattr(conversion, "check", lambda *given: None)  # neither TensorRT nor a GPU need be here
    folder = micro_export.onnx.parent
    assert plan("nano", recipe=Recipe("fp16")).output.name == "nano-fp16.onnx"
    assert (
        plan(micro_export.weights, "tensorrt", recipe=Recipe("int8")).output == folder / "micro-int8.engine"
    )
    assert (
        plan(micro_export.weights, "tensorrt", recipe=Recipe("int8")).graph_output.name == "micro-int8.onnx"
    )
    assert plan(micro_export.onnx, "triton-server").output == folder / "micro-triton-server"


def test_a_plan_says_what_will_be_done(micro_export):
    steps = plan(micro_export.weights, "triton-server", recipe=Recipe("int8", search_limit=0.001)).steps
    assert [step.split()[0] for step in steps] == ["write", "search", "make", "build", "write"]
    assert len(plan(micro_export.onnx, "triton-server").steps) == 2


FLOAT32 = [name for name in weights.available() if f"{name}-int8" in weights.available()]


@pytest.mark.parametrize("name", FLOAT32)
def test_shipped_int8_files_are_small(name):
    """At most 0.3 of the float32 file, for which less than everything may stay float."""
    size = {key: weights.find(key).stat().st_size for key in (name, f"{name}-int8")}
    assert size[f"{name}-int8"] <= 0.3 * size[name]


def test_every_shipped_model_has_an_int8_file():
    named = {
        name for name in weights.available() if Artefact.open(weights.find(name)).card.precision == "fp32"
    }
    assert set(FLOAT32) == named != set()
