"""int8 graphs: where quantisation stands, that it is what TensorRT takes, and that no kernel overflows."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.export.calibration import channel_maxima, scores
from crossiqa_edge.export.probe import calibration_views
from crossiqa_edge.export.quantise import Calibration, Quantiser, weight_scales
from crossiqa_edge.export.sensitivity import search
from crossiqa_edge.export.smoothing import smooth
from crossiqa_edge.export.surgery import Surgery
from crossiqa_edge.runtime.artefact import Artefact

FEW = 24


@pytest.fixture(scope="module")
def surgery(micro_export):
    return Surgery.open(Artefact.open(micro_export.onnx))


@pytest.fixture(scope="module")
def views(micro_export):
    return calibration_views(Artefact.open(micro_export.onnx).card)[:FEW]


@pytest.fixture(scope="module")
def quantiser(surgery, views):
    return Quantiser(surgery, views, Calibration())


@pytest.fixture(scope="module")
def graph(quantiser):
    return quantiser.quantised(quantiser.default_layers()).graph


def constants(graph):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def test_all_zero_points_are_zero_and_all_codes_int8(graph):
    values = constants(graph)
    nodes = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(nodes) > 20
    for node in nodes:
        zero = values[node.input[2]]
        assert zero.dtype == np.int8 and not zero.any()


def test_weights_lie_in_the_file_as_int8_with_a_scale_for_each_output(graph):
    values = constants(graph)
    for node in graph.node:
        if node.op_type == "Gemm" and node.name.startswith("blocks."):
            codes, scale = values[f"{node.name}.weight.int8"], values[f"{node.name}.weight.scale"]
            assert (codes.dtype, scale.shape) == (np.int8, (codes.shape[1],))
            assert len(node.input) == 2  # the bias follows by itself: TensorRT dequantises no int32
            assert f"{node.name}.weight" not in values


def test_scales_are_laid_along_the_outputs_of_a_layer(graph):
    """onnxruntime fuses these nodes without a look at their axis; other runtimes go by it."""
    values = constants(graph)
    weights = [node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in values]
    assert any(len(set(values[node.input[0]].shape)) == 2 for node in weights)
    for node in weights:
        (axis,) = (item.i for item in node.attribute if item.name == "axis")
        assert axis == 1 and values[node.input[1]].shape == values[node.input[0]].shape[axis:]


def test_the_embedding_attention_and_the_head_stay_in_float(graph):
    producers = {node.output[0]: node.op_type for node in graph.node}
    for node in graph.node:
        fed = {producers.get(name) for name in node.input}
        inner = node.op_type in ("MatMul", "Softmax", "LayerNormalization") or node.name == "head"
        if inner or node.name.startswith("embedding."):
            assert "DequantizeLinear" not in fed, node.name


def test_attention_is_quantised_before_it_is_transposed(graph):
    makers = {output: node for node in graph.node for output in node.output}
    for node in graph.node:
        if node.op_type == "Gemm" and node.name.endswith(".attn.proj"):
            reshape = makers[node.input[0]]
            transpose = makers[reshape.input[0]]
            restored = makers[transpose.input[0]]
            kinds = (reshape.op_type, transpose.op_type, restored.op_type)
            assert kinds == ("Reshape", "Transpose", "DequantizeLinear")
            assert makers[makers[restored.input[0]].input[0]].op_type == "MatMul"


def test_scores_stay_near_and_do_not_stay_the_same(quantiser, surgery, graph, views):
    exact = scores(surgery.finished(surgery.nodes), views)
    given = scores(quantiser.quantised(quantiser.default_layers()), views)
    difference = np.abs(given - exact).max()
    assert 1e-3 < difference < 0.2 * np.ptp(exact)


def test_no_two_neighbouring_weights_overflow_sixteen_bits():
    """vpmaddubsw adds two products of unsigned bytes up to 255 and signed bytes, and saturates."""
    weights = np.random.default_rng(0).standard_normal((64, 32)).astype(np.float32)
    weights[:2, 0] = 3  # the worst column: its two largest weights are neighbours of one sign
    scales = weight_scales(weights)
    codes = np.clip(np.rint(weights / scales), -127, 127).astype(np.int64).reshape(-1, 2, 32)
    assert 255 * np.maximum(codes, 0).sum(axis=1).max() <= 32767
    assert -255 * np.minimum(codes, 0).sum(axis=1).min() <= 32768
    naive = np.rint(3 / (np.abs(weights).max(axis=0) / 127))[0]
    assert 255 * 2 * naive > 32767  # else the test would pass without the precaution
    assert np.median(scales / (np.abs(weights).max(axis=0) / 127)) < 1.5  # and it costs less than a bit


def test_smoothing_changes_the_weights_and_not_the_function(surgery, views):
    smoothed = smooth(surgery, views[:8], strength=0.7)
    before, after = surgery.finished(surgery.nodes), smoothed.finished(smoothed.nodes)
    np.testing.assert_allclose(scores(after, views[:8]), scores(before, views[:8]), atol=1e-3)
    linears = surgery.linears()
    weights = {name: [each.value(f"{name}.weight") for each in (surgery, smoothed)] for name in linears}
    changed = {name for name, pair in weights.items() if not np.allclose(*pair)}
    assert {"blocks.0.attn.qkv", "blocks.0.attn.proj", "blocks.1.attn.q", "blocks.1.mlp.fc1"} <= changed
    assert not {"embedding.1", "blocks.0.mlp.fc2"} & changed  # behind a GELU


def test_smoothing_makes_an_outlier_smaller(surgery, views):
    loud = Surgery(surgery.finished(surgery.nodes))
    scale = loud.value("blocks.0.norm2.weight")
    scale[3] *= 50
    loud.set("blocks.0.norm2.weight", scale)
    spread = []
    for each in (loud, smooth(loud, views[:8])):
        maxima = channel_maxima(each.finished(each.nodes), ["blocks.0.norm2"], views[:8])["blocks.0.norm2"]
        spread.append(maxima.max() / np.median(maxima))
    assert spread[1] < spread[0] / 3


def test_the_strength_of_smoothing_says_how_equal_channels_become(surgery, views):
    name, few = "blocks.0.norm2", views[:8]

    def unevenness(strength):
        each = smooth(surgery, few, strength)
        maxima = channel_maxima(each.finished(each.nodes), [name], few)[name]
        return maxima.max() / maxima.min()

    assert unevenness(1.0) == pytest.approx(1.0, abs=1e-3)
    assert unevenness(1.0) < unevenness(0.9) < unevenness(0.6)


def test_the_search_keeps_its_promise_and_takes_what_it_may(quantiser, views):
    wide = search(quantiser, scores, views, 1.0, lambda stage, share=None: None)
    assert set(wide.chosen) == set(quantiser.layers)
    assert sum(row.multiplications for row in wide.layers) == pytest.approx(1)
    limit = wide.loss / 2
    found = search(quantiser, scores, views, limit, lambda stage, share=None: None)
    assert found.loss <= limit
    assert 0 < len(found.chosen) < len(quantiser.layers)
    losses = [row.loss for row in found.layers]
    assert losses == sorted(losses)  # cheapest first
    assert found.to_dict()["layers"][0]["int8"] is True


@pytest.mark.parametrize("limit", [-0.1, 2, float("nan")])
def test_a_loss_that_is_none_is_refused(quantiser, views, limit):
    with pytest.raises(ConfigError, match="from 0 to 1"):
        search(quantiser, scores, views, limit, lambda stage, share=None: None)


@pytest.mark.parametrize(("method", "smoothing"), [("guess", 0.5), ("mse", 1.5)])
def test_a_calibration_that_is_none_is_refused(method, smoothing):
    with pytest.raises(ConfigError):
        Calibration(method, smoothing)


def test_large_float_constants_are_stored_in_float16(graph):
    large = [tensor for tensor in graph.initializer if np.prod(tensor.dims) > 4096]
    assert large
    assert {tensor.data_type for tensor in large} <= {TensorProto.FLOAT16, TensorProto.INT8}


def test_the_graph_is_sound(quantiser):
    onnx.checker.check_model(quantiser.quantised(quantiser.layers), full_check=True)
