"""What a plan's model makes vain or impossible is refused with the nearest command, and never after work."""

import sys
from types import SimpleNamespace

import pytest

from crossiqa_edge.errors import ConfigError, MissingDependencyError
from crossiqa_edge.export.conversion import Recipe, plan
from crossiqa_edge.export.onnx import export_onnx
from crossiqa_edge.export.quantise import Calibration
from crossiqa_edge.export.refusals import refuse
from crossiqa_edge.export.targets import TARGETS
from crossiqa_edge.model.checkpoint import load
from crossiqa_edge.runtime.artefact import Artefact


@pytest.fixture(scope="module")
def fused(micro_export, tmp_path_factory):
    """A float32 graph of opset 23, without its weights beside it."""
    path = tmp_path_factory.mktemp("fused") / "fused.onnx"
    return export_onnx(*load(micro_export.weights), path, opset=23)[0]


def engine_plan(source, name, **recipe):
    """What ``plan`` would give on a machine that has the target's builder."""
    return SimpleNamespace(source=source, target=TARGETS[name], recipe=Recipe(**recipe))


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt-rtx"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_engines_take_no_attention_operator(micro_export, fused, name, precision):
    weights = Artefact.open(micro_export.weights)
    with pytest.raises(ConfigError, match=f"--to {name}: .*use --opset 18"):
        refuse(engine_plan(weights, name, precision=precision, opset=23))
    refuse(engine_plan(weights, name, precision=precision))
    with pytest.raises(ConfigError, match="give a model of opset 18, or the weights"):
        refuse(engine_plan(fused, name, precision=precision))


def test_other_runtimes_have_it(micro_export, fused, tmp_path):
    plan(micro_export.weights, "triton-server", tmp_path / "x", recipe=Recipe(opset=23))
    assert plan(fused.path, "triton-server", tmp_path / "x").opset == 23  # nobody asked for 18
    half = plan(fused.path, "onnx", tmp_path / "x", recipe=Recipe("fp16"))
    assert (half.source.path, half.opset) == (fused.path, 23)


def test_an_opset_that_a_finished_file_would_not_get_is_refused(micro_export, tmp_path):
    wanted = Recipe(opset=23)
    with pytest.raises(
        ConfigError, match=r"opset 18, so --opset 23 .*give the weights \(.*micro.safetensors"
    ):
        plan(micro_export.onnx, "openvino", tmp_path / "x", recipe=wanted)
    plan(micro_export.onnx, "onnx", tmp_path / "x", recipe=wanted)  # made anew of the weights
    alone = tmp_path / "alone.onnx"
    alone.write_bytes(micro_export.onnx.read_bytes())
    with pytest.raises(ConfigError, match="leave it out, or give the weights"):
        plan(alone, "openvino", tmp_path / "x", recipe=wanted)


def test_so_is_the_usual_one_where_it_was_asked_for(fused, tmp_path):
    for to, words in (("triton-server", "so --opset 18 would change nothing"), ("onnx", "give the weights")):
        with pytest.raises(ConfigError, match=words):
            plan(fused.path, to, tmp_path / "x", recipe=Recipe(opset=18))


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("calibration", [Calibration("mse"), Calibration(smoothing=0), Calibration()])
def test_a_calibration_of_nothing_is_refused(micro_export, tmp_path, precision, calibration):
    with pytest.raises(ConfigError, match="there are none: leave them out, or use --precision int8"):
        plan(micro_export.weights, "onnx", tmp_path / "x", recipe=Recipe(precision, 18, calibration))


def test_what_is_int8_already_is_not_calibrated_again(tmp_path):
    for recipe in (Recipe("int8", 18, Calibration("mse")), Recipe("int8", search_limit=0.001)):
        with pytest.raises(ConfigError, match="int8 already"):
            plan("nano-int8", "triton-server", tmp_path / "x", recipe=recipe)
        plan("nano", "triton-server", tmp_path / "x", recipe=recipe)
    plan("nano-int8", "triton-server", tmp_path / "x", recipe=Recipe("int8"))


@pytest.mark.parametrize("limit", [-1, 1.5, float("nan")])
def test_a_search_for_no_loss_is_refused_before_work(micro_export, tmp_path, limit):
    with pytest.raises(ConfigError, match="a loss of rank correlation is from 0 to 1"):
        plan(micro_export.onnx, output=tmp_path / "x", recipe=Recipe("int8", search_limit=limit))


def without(monkeypatch, library, module):
    """A machine that lacks ``library``, which ``module`` of ours imports."""
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"crossiqa_edge.export.{module}", raising=False)


def test_a_library_that_the_target_needs_is_missed_before_work(micro_export, tmp_path, monkeypatch):
    without(monkeypatch, "openvino", "openvino")
    with pytest.raises(MissingDependencyError, match=r"crossiqa-edge\[openvino\]"):
        plan(micro_export.onnx, "openvino", tmp_path / "x")
    plan(micro_export.onnx, "triton-server", tmp_path / "x")


def test_so_is_what_weights_need(micro_export, tmp_path, monkeypatch):
    without(monkeypatch, "torch", "onnx")
    wanted, output = Recipe("fp16"), tmp_path / "x"
    plan(micro_export.onnx, output=output, recipe=wanted)
    for model, reference in ((micro_export.weights, None), (micro_export.onnx, micro_export.weights)):
        with pytest.raises(MissingDependencyError, match=r"crossiqa-edge\[export\]"):
            plan(model, output=output, recipe=wanted, reference=reference)
