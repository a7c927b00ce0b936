"""What an export may write over: never a model that is read, nor a graph that it would not make itself."""

import shutil
from dataclasses import replace

import onnx
import pytest

from crossiqa_edge import weights
from crossiqa_edge.errors import ConfigError, OutputError
from crossiqa_edge.export import conversion
from crossiqa_edge.export.conversion import Recipe, plan
from crossiqa_edge.export.quantise import Calibration
from crossiqa_edge.export.writing import with_card
from crossiqa_edge.runtime.artefact import Artefact


@pytest.fixture(autouse=True)
def any_machine(monkeypatch):
    """Neither TensorRT nor a GPU need be here to plan an engine."""
    monkeypatch.setattr(conversion, "check", lambda *given: None)


@pytest.fixture
def graph(micro_export, tmp_path):
    """A float32 graph of one's own, and the weights that it was made of beside it."""
    shutil.copy(micro_export.weights, tmp_path / "m.safetensors")
    return shutil.copy(micro_export.onnx, tmp_path / "m.onnx")


@pytest.fixture
def engine(graph, tmp_path):
    """``engine(model, **recipe)`` plans ``m.engine``, beside which the graph would be ``m.onnx``."""

    def planned(model=graph, name="tensorrt", reference=None, **recipe):
        return plan(model, name, tmp_path / "m.engine", recipe=Recipe(**recipe), reference=reference)

    return planned


def recarded(path, **values):
    """The graph at ``path`` with another card, as other commands would have left it."""
    artefact = Artefact.open(path)
    path.write_bytes(with_card(artefact.read(), replace(artefact.card, **values)))


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt-rtx"])
def test_the_graph_beside_an_engine_does_not_take_the_models_place(engine, name):
    with pytest.raises(ConfigError, match=r"m\.onnx: this would overwrite the model; give another name"):
        engine(name=name, precision="int8")
    assert not engine(name=name).makes_graph  # taken as it is, nothing is written beside the engine


def test_nor_that_of_the_graph_whose_weights_are_taken_or_of_the_original(engine, graph, tmp_path):
    weights_alone = tmp_path / "other.safetensors"
    shutil.copy(tmp_path / "m.safetensors", weights_alone)
    with pytest.raises(ConfigError, match=r"m\.onnx: this would overwrite"):
        engine(weights_alone, reference=graph, precision="fp16")


def test_nor_through_a_link(engine, graph, tmp_path):
    link = tmp_path / "linked"
    link.symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(ConfigError, match="would overwrite the model"):
        plan(graph, "tensorrt", link / "m.engine", recipe=Recipe("int8"))
    model = tmp_path / "other.onnx"
    model.symlink_to(graph)
    with pytest.raises(ConfigError, match="would overwrite the model"):
        engine(model, precision="int8")


def test_a_graph_that_the_command_left_before_is_made_anew(engine, graph, tmp_path):
    source = tmp_path / "other.safetensors"
    shutil.copy(tmp_path / "m.safetensors", source)
    assert engine(source).makes_graph
    recarded(tmp_path / "m.onnx", precision="fp16")
    assert engine(source, precision="fp16").makes_graph
    facts = {"method": "mse", "smoothing": 0.5, "search": {"limit": 0.001}}
    recarded(tmp_path / "m.onnx", precision="int8", quantisation=facts)
    wanted = {"precision": "int8", "calibration": Calibration("mse"), "search_limit": 0.001}
    assert engine(source, **wanted).makes_graph
    for other in ({"search_limit": None}, {"search_limit": 0.01}, {"calibration": None}):
        with pytest.raises(ConfigError, match="not the graph that this command would leave there"):
            engine(source, **{**wanted, **other})


@pytest.mark.parametrize("other", [{"precision": "fp16"}, {"weights_sha256": "a" * 64}, {"opset": 23}])
def test_another_graph_of_that_name_is_left_alone(engine, graph, tmp_path, other):
    source = tmp_path / "other.safetensors"
    shutil.copy(tmp_path / "m.safetensors", source)
    recarded(tmp_path / "m.onnx", **other)
    with pytest.raises(ConfigError, match="not the graph that this command would leave there"):
        engine(source)


@pytest.mark.parametrize("kind", ["text", "folder", "link", "dangling"])
def test_so_is_what_is_no_graph_at_all(engine, graph, tmp_path, kind):
    source, beside = tmp_path / "other.safetensors", tmp_path / "m.onnx"
    (tmp_path / "m.safetensors").rename(source)
    beside.rename(tmp_path / "same.onnx")
    match kind:
        case "text":
            beside.write_text("no graph")
        case "folder":
            beside.mkdir()
        case "link":
            beside.symlink_to(tmp_path / "same.onnx")
        case "dangling":
            beside.symlink_to(tmp_path / "absent.onnx")
    with pytest.raises(ConfigError, match="not the graph that this command would leave there"):
        engine(source)


def test_a_graph_with_the_plugins_nodes_is_another_one(engine, micro_export, graph, tmp_path):
    from crossiqa_edge.export.attention_nodes import with_nodes

    source = tmp_path / "other.safetensors"
    shutil.copy(tmp_path / "m.safetensors", source)
    made = with_nodes(onnx.load(micro_export.onnx))
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(ConfigError, match="not the graph that this command would leave there"):
        engine(source)
    assert engine(source, plugin="attention").makes_graph


def test_an_output_never_takes_the_place_of_a_model_that_is_read(graph, micro_export, tmp_path):
    with pytest.raises(ConfigError, match="would overwrite the model"):  # made of the weights beside it
        plan(graph, output=graph, recipe=Recipe("fp16", opset=23))
    reference = tmp_path / "reference.onnx"
    shutil.copy(graph, reference)
    weights_alone = tmp_path / "other.safetensors"
    shutil.copy(micro_export.weights, weights_alone)
    with pytest.raises(ConfigError, match="would overwrite the model"):
        plan(weights_alone, output=reference, recipe=Recipe("fp16"), reference=reference)
    link = tmp_path / "link.onnx"
    link.symlink_to(graph)
    with pytest.raises(ConfigError, match="would overwrite the model"):
        plan(graph, output=link, recipe=Recipe("fp16"))


def test_a_device_is_not_replaced_by_a_file(micro_export):
    with pytest.raises(ConfigError, match="/dev/null: exists; give another name"):
        plan(micro_export.onnx, output="/dev/null", recipe=Recipe("fp16"))


def test_a_folder_that_is_missing_is_found_out_while_planning(micro_export, tmp_path):
    with pytest.raises(OutputError, match=r"absent/m\.onnx: cannot write here \(there is no such folder\)"):
        plan(micro_export.onnx, output=tmp_path / "absent" / "m.onnx", recipe=Recipe("fp16"))


def test_the_weights_beside_a_graph_are_taken_only_if_it_was_made_of_them(graph, tmp_path):
    wanted = Recipe("fp16", opset=23)
    assert plan(graph, output=tmp_path / "x.onnx", recipe=wanted).source.path == tmp_path / "m.safetensors"
    shutil.copy(weights.find("nano").with_suffix(".safetensors"), tmp_path / "m.safetensors")
    with pytest.raises(ConfigError, match=r"made of \(micro-test@.*\), which do not lie beside it"):
        plan(graph, output=tmp_path / "x.onnx", recipe=wanted)
    with pytest.raises(ConfigError, match=r"leave it out, or give the weights$"):  # and does not name them
        plan(graph, "triton-server", tmp_path / "x", recipe=Recipe(opset=23))
