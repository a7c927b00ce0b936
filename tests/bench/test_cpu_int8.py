"""int8 against float32, by runtime: every candidate is there, and the limit is what arithmetic says."""

import json
from dataclasses import replace

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the bench reads graphs")

from crossiqa_edge.bench import cpu_int8  # noqa: E402
from crossiqa_edge.bench.cpu_peaks import peaks  # noqa: E402
from crossiqa_edge.bench.roofline import count  # noqa: E402
from crossiqa_edge.card import CARD_KEY  # noqa: E402
from crossiqa_edge.errors import ConfigError  # noqa: E402
from crossiqa_edge.export.quantise import Calibration, Quantiser  # noqa: E402
from crossiqa_edge.export.surgery import Surgery  # noqa: E402
from crossiqa_edge.runtime.artefact import Artefact  # noqa: E402
from crossiqa_edge.weights import find  # noqa: E402


def views_at_random():
    return np.random.default_rng(0).integers(0, 256, (8, 224, 224, 3), np.uint8)


@pytest.fixture(scope="module")
def pair(micro_export, tmp_path_factory):
    """The float32 artefact, and the same in int8."""
    fp32 = Artefact.open(micro_export.onnx)
    quantiser = Quantiser(Surgery(onnx.load(micro_export.onnx)), views_at_random(), Calibration())
    model = quantiser.quantised(quantiser.default_layers())
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {CARD_KEY: replace(fp32.card, precision="int8").to_json()})
    path = tmp_path_factory.mktemp("int8") / "micro-int8.onnx"
    path.write_bytes(model.SerializeToString())
    return fp32, Artefact.open(path)


@pytest.fixture
def few_views(monkeypatch):
    monkeypatch.setattr(cpu_int8, "probe_views", lambda card: views_at_random())


def test_all_candidates_are_timed_and_judged(pair, few_views):
    found = cpu_int8.run(*pair, threads=1, seconds=0.01, peak_seconds=0.01)
    names = {"onnxruntime fp32", "onnxruntime int8 Q/DQ", "onnxruntime int8 dynamic"}
    others = {"openvino fp32", "openvino int8 Q/DQ", "openvino int8 NNCF"}
    assert names <= set(found["candidates"])
    assert names | others == set(found["candidates"]) | set(found["absent"])
    baseline = found["candidates"]["onnxruntime fp32"]
    assert (baseline["srcc"], baseline["max_difference"]) == (1.0, 0.0)
    for batch in (1, 8):
        assert baseline[f"batch {batch}"]["times_faster"] == 1.0
    int8 = found["candidates"]["onnxruntime int8 Q/DQ"]
    assert 0 < int8["mean_difference"] < 5, "int8 is neither float32 nor nonsense"
    text = cpu_int8.as_text(json.loads(json.dumps(found)))
    assert all(name in text for name in found["candidates"])


def test_the_order_of_the_two_graphs_matters(pair):
    with pytest.raises(ConfigError, match="not the fp32 and the int8 graph of one model"):
        cpu_int8.run(*reversed(pair))


def test_only_quantised_products_are_counted(pair):
    fp32, int8 = pair
    assert count(fp32.path).integer_flops == 0
    work = count(int8.path)
    assert work.flops == count(fp32.path).flops
    assert 0.3 < work.integer_flops / work.flops < 0.9


def test_every_linear_layer_of_the_blocks_is_counted():
    """nano by hand: 197 tokens of 128 in six blocks, of the last only keys and values for all of them."""
    whole = 2 * 197 * (128 * 3 * 128 + 128 * 128 + 2 * 128 * 512)
    last = 2 * (128 * 128 + 197 * 128 * 2 * 128 + 128 * 128 + 2 * 128 * 512)
    assert count(find("nano-int8")).integer_flops == 5 * whole + last


def test_the_limit_is_amdahls():
    """Half of 10 ms at the float32 peak becomes a quarter: 7.5 ms."""
    rates = {"onnxruntime float32": 100.0, "onnxruntime Q/DQ": 150.0, "onnxruntime uint8 x int8": 200.0}
    assert cpu_int8._limit(10.0, 0.5, rates) == {"share_in_float32": 0.5, "times_faster": round(10 / 7.5, 3)}


def test_peaks_of_all_kinds():
    found = peaks(threads=1, seconds=0.01)
    assert {"onnxruntime float32", "onnxruntime Q/DQ", "onnxruntime uint8 x int8"} <= set(found)
    assert all(rate > 0.1 for rate in found.values())
