"""What this CPU does at most in float32 and int8: large matrix products through the runtimes themselves."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from crossiqa_edge.errors import MissingDependencyError

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    raise MissingDependencyError("building products to time", "export") from error

SIDES = (512, 1024)  # of square matrices; which is faster depends on the caches, so the better one counts

Matrix = npt.NDArray[Any]
Call = Callable[[], object]


def peaks(threads: int | None = None, seconds: float = 1.0) -> dict[str, float]:
    """Operations a second / 1e9 by runtime and types, a multiply-add counting two; the best of ``seconds``.

    ``Q/DQ`` is a product between quantised float32 matrices, as our int8 graphs have it, with weights of 7
    bits; ``uint8 x int8`` and ``uint8 x uint8`` are onnxruntime's bare integer products.
    """
    graphs = {"float32": _float32, "Q/DQ": _quantised, "uint8 x int8": _integers(np.int8)}
    graphs["uint8 x uint8"] = _integers(np.uint8)
    found = {
        f"onnxruntime {name}": _best(build, _onnxruntime, threads, seconds) for name, build in graphs.items()
    }
    if find_spec("openvino") is not None:
        for name in ("float32", "Q/DQ"):
            found[f"openvino {name}"] = _best(graphs[name], _openvino, threads, seconds)
    return {name: round(rate / 1e9, 1) for name, rate in found.items()}


def _best(
    build: Callable[[int], tuple[Any, Matrix]],
    prepare: Callable[[bytes, Matrix, int | None], Call],
    threads: int | None,
    seconds: float,
) -> float:
    """Operations a second of the fastest call, over all ``SIDES``."""
    rates = []
    for side in SIDES:
        model, left = build(side)
        call = prepare(model.SerializeToString(), left, threads)
        call()
        fastest, end = float("inf"), perf_counter() + seconds / len(SIDES)
        while perf_counter() < end or fastest == float("inf"):
            start = perf_counter()
            call()
            fastest = min(fastest, perf_counter() - start)
        rates.append(2 * side**3 / fastest)
    return max(rates)


def _onnxruntime(model: bytes, left: Matrix, threads: int | None) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"a": left})


def _openvino(model: bytes, left: Matrix, threads: int | None) -> Call:
    from crossiqa_edge.runtime.openvino import shared_core

    core = shared_core()
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    request = core.compile_model(core.read_model(model), "CPU", settings).create_infer_request()
    return lambda: request.infer([left], share_inputs=True)


def _float32(side: int) -> tuple[Any, Matrix]:
    return _model(side, TensorProto.FLOAT, TensorProto.FLOAT, _normal(side, 1), "MatMul"), _normal(side, 0)


def _integers(right: type[np.int8] | type[np.uint8]) -> Callable[[int], tuple[Any, Matrix]]:
    def build(side: int) -> tuple[Any, Matrix]:
        generator = np.random.default_rng(0)
        left = generator.integers(0, 256, (side, side), np.uint8)
        weights = generator.integers(0, 64, (side, side)).astype(right)
        return _model(side, TensorProto.UINT8, TensorProto.INT32, weights, "MatMulInteger"), left

    return build


def _quantised(side: int) -> tuple[Any, Matrix]:
    """float32 in and out, int8 between: QuantizeLinear, DequantizeLinear, MatMul with dequantised weights."""
    weights = np.random.default_rng(1).integers(-63, 64, (side, side), dtype=np.int8)
    model = _model(side, TensorProto.FLOAT, TensorProto.FLOAT, weights, "MatMul")
    constants: dict[str, Matrix] = {
        "step": np.array(4 / 127, np.float32),
        "zero": np.array(0, np.int8),
        "steps": np.full(side, 1 / 63, np.float32),
        "zeros": np.zeros(side, np.int8),
    }
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    product = model.graph.node.pop()
    model.graph.node.extend(
        [
            helper.make_node("QuantizeLinear", ["a", "step", "zero"], ["integers"]),
            helper.make_node("DequantizeLinear", ["integers", "step", "zero"], ["left"]),
            helper.make_node("DequantizeLinear", ["b", "steps", "zeros"], ["right"], axis=1),
            helper.make_node(product.op_type, ["left", "right"], ["c"]),
        ]
    )
    return model, _normal(side, 0)


def _model(side: int, given: int, made: int, weights: Matrix, operator: str) -> Any:
    graph = helper.make_graph(
        [helper.make_node(operator, ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", given, (side, side))],
        [helper.make_tensor_value_info("c", made, (side, side))],
        [numpy_helper.from_array(weights, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def _normal(side: int, seed: int) -> Matrix:
    return np.random.default_rng(seed).standard_normal((side, side), dtype=np.float32)
