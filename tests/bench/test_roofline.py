import itertools

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from crossiqa_edge.bench import roofline
from crossiqa_edge.bench.roofline import Peak, Work, copy_bandwidth, count, measure_peak, place
from crossiqa_edge.errors import ArtefactError, BackendError
from crossiqa_edge.model.family import family_size
from crossiqa_edge.weights import find


def product_graph(path, inner=8, *, known=True):
    """uint8 (batch, 4, 4, 3) -> (batch, 4, 4, 5) by one product with a (3, 5) matrix, after a cast."""
    nodes = [
        helper.make_node("Cast", ["views"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "w"], ["score"]),
    ]
    shape = ["batch", 4, 4, 3] if known else None
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("views", TensorProto.UINT8, ["batch", 4, 4, 3])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch", 4, 4, 5])],
        [numpy_helper.from_array(np.zeros((3, 5), np.float32), "w")],
    )
    if shape is None:
        graph.input[0].type.tensor_type.shape.dim[3].ClearField("dim_value")
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    return path


def test_one_product_is_counted_by_hand(tmp_path):
    work = count(product_graph(tmp_path / "m.onnx"))
    assert work.flops == 2 * 16 * 3 * 5
    assert work.weight_bytes == 4 * 15
    assert work.activation_bytes == 4 * 16 * (3 + 5)


def test_a_graph_that_hides_its_shapes_is_refused(tmp_path):
    with pytest.raises(ArtefactError, match="not known"):
        count(product_graph(tmp_path / "m.onnx", known=False))


def test_the_shipped_model_has_the_operations_of_its_shape():
    """Blocks 24 w^2 a token and 4 n w of attention a token; the last one computes keys and values for all
    tokens, and the rest for the class token alone. Before them, the embedding's three levels."""
    size = family_size("nano")
    width, tokens, patches = size.width, 197, 196
    block = tokens * (24 * width**2 + 4 * tokens * width)
    last = 4 * tokens * width**2 + 20 * width**2 + 4 * tokens * width
    embedding = 2 * patches * (64 * 12 * 32 + 16 * 128 * 64 + 1024 * width)
    assert count(find("nano")).flops == (size.depth - 1) * block + last + embedding


def test_the_roof_is_the_lower_of_two_lines():
    peak = Peak(flops=100e9, bandwidth=10e9)
    assert peak.attainable(Work(flops=50, weight_bytes=0, activation_bytes=10), 1) == 50e9
    assert peak.attainable(Work(flops=500, weight_bytes=0, activation_bytes=10), 1) == 100e9


def test_integers_have_a_roof_of_their_own():
    """Half of the operations four times as fast: 1 / (0.5 + 0.5 / 4) = 1.6 times the rate."""
    work = Work(flops=1000, weight_bytes=0, activation_bytes=1, integer_flops=500)
    assert Peak(100e9, 1e12, integer_flops=400e9).arithmetic(work) == pytest.approx(160e9)
    assert Peak(100e9, 1e12).arithmetic(work) == pytest.approx(100e9)
    reached = place(work, Peak(100e9, 1e12, integer_flops=400e9), views=1, milliseconds=1e-5)
    assert reached.share == pytest.approx(100 / 160)
    assert "float32 product and, for 50% of the work, the int8 product" in reached.limit


@pytest.mark.parametrize(("activation", "limit"), [(1_000, "arithmetic"), (1_000_000, "memory")])
def test_the_limit_is_named(activation, limit):
    work = Work(flops=1_000_000, weight_bytes=10_000, activation_bytes=activation)
    reached = place(work, Peak(100e9, 10e9), views=8, milliseconds=1.0)
    assert reached.flops == pytest.approx(8e9)
    assert reached.limit.startswith(limit)
    assert reached.share == pytest.approx(8e9 / min(100e9, 10e9 * work.intensity(8)))


def test_weights_are_read_once_a_batch():
    work = Work(flops=100, weight_bytes=90, activation_bytes=10)
    assert work.intensity(1) == pytest.approx(1.0)
    assert work.intensity(10) == pytest.approx(1000 / 190)


def test_the_roof_of_a_gpu_is_measured_on_the_gpu(monkeypatch):
    torch = pytest.importorskip("torch")
    pytest.importorskip("triton", reason="the kernels' bench needs Triton")
    from crossiqa_edge.bench import gpu_timing, kernels

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gpu_timing, "CudaTimer", lambda: "timer")
    monkeypatch.setattr(
        kernels, "measure_roof", lambda timer, device: {("timer", "cuda"): (9e13, 2e12)}[timer, device]
    )
    peak = measure_peak("NVIDIA H100")
    assert (peak.flops, peak.bandwidth) == (9e13, 2e12)
    work = Work(flops=1_000_000, weight_bytes=0, activation_bytes=1_000)
    assert "float16 product" in place(work, peak, views=1, milliseconds=1.0).limit
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BackendError, match="sees no CUDA device"):
        measure_peak("cuda")


def test_the_copy_is_measured():
    assert copy_bandwidth(1 << 20) > 1e7


def test_a_copy_reads_and_writes_every_byte(monkeypatch):
    ticks = itertools.count(step=0.25)
    monkeypatch.setattr(roofline, "perf_counter", lambda: next(ticks))
    assert copy_bandwidth(1000) == 2000 / 0.25
