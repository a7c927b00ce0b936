"""How near a model comes to what the machine can do: operations and bytes from the graph, peaks measured.

Operations are counted from the shapes in the ONNX graph, two for each multiply-add of a matrix product (our
graphs have no convolution); all else is at most a few percent and left out. Bytes are the least that must
move once per inference: every weight, and input and output of every matrix product, as if nothing but those
left the caches. The peaks are what this machine really does in the same run, not what its data sheet
promises: on a CPU a large float32 matrix product through onnxruntime, on a GPU one in float16 through torch,
and a copy of an array beyond all caches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from crossiqa_edge.errors import ArtefactError, BackendError, MissingDependencyError

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper, shape_inference
except ImportError as error:
    raise MissingDependencyError("counting the operations of a graph", "export") from error

_PRODUCTS = frozenset({"MatMul", "Gemm", "MatMulInteger", "QLinearMatMul"})
_GEMM_SIDE = 1024
_COPY_BYTES = 256 << 20
_SECONDS = 1.0  # of measuring each peak


@dataclass(frozen=True)
class Work:
    """What one inference of one view takes.

    Attributes:
        flops: floating-point (or integer) operations, a multiply-add counting two.
        weight_bytes: of all initialisers, read once an inference whatever the batch.
        activation_bytes: read and written by the matrix products.
    """

    flops: int
    weight_bytes: int
    activation_bytes: int

    def intensity(self, batch: int) -> float:
        """Operations a byte at ``batch`` views an inference."""
        return batch * self.flops / (self.weight_bytes + batch * self.activation_bytes)


@dataclass(frozen=True)
class Peak:
    """What the machine did: operations a second of a large product, bytes a second of a copy.

    Attributes:
        product: what was multiplied, and where, in words.
    """

    flops: float
    bandwidth: float
    product: str = "float32 product"

    def attainable(self, intensity: float) -> float:
        """Operations a second at ``intensity`` operations a byte: the roofline (Williams et al., 2009)."""
        return min(self.flops, intensity * self.bandwidth)


@dataclass(frozen=True)
class Reached:
    """One measurement under the roofline.

    Attributes:
        flops: operations a second that were reached.
        share: of what is attainable, 0..1 (above 1 where a lower precision beats the float32 peak).
        limit: what bounds it, in words.
    """

    flops: float
    share: float
    limit: str


def count(path: Path) -> Work:
    """Work of the graph in ``path``, a model of ours, for one view.

    Raises:
        ArtefactError: the graph does not tell the shapes of its products.
    """
    graph, shapes = _shaped(path)
    flops = activations = 0
    for node in graph.node:
        if node.op_type not in _PRODUCTS:
            continue
        left, output = (_known(shapes, name, path) for name in (node.input[0], node.output[0]))
        flops += _flops(node, left, output)
        width = 1 if "Integer" in node.op_type or node.op_type.startswith("QLinear") else 4
        activations += width * (int(np.prod(left)) + int(np.prod(output)))
    weights = sum(numpy_helper.to_array(tensor).nbytes for tensor in graph.initializer)
    return Work(flops, weights, activations)


def quantised_flops(path: Path) -> int:
    """Operations of one view in products both of whose factors come from integers (Q/DQ).

    Raises:
        ArtefactError: as ``count``.
    """
    graph, shapes = _shaped(path)
    dequantised: set[str] = set()
    for node in graph.node:  # in order of computation; moving numbers leaves them what they are
        moved = node.op_type in ("Reshape", "Transpose") and node.input[0] in dequantised
        if moved or node.op_type == "DequantizeLinear":
            dequantised.update(node.output)
    return sum(
        _flops(node, *(_known(shapes, name, path) for name in (node.input[0], node.output[0])))
        for node in graph.node
        if node.op_type in _PRODUCTS and dequantised.issuperset(node.input[:2])
    )


def measure_peak(device: str = "cpu") -> Peak:
    """Peaks of this machine's CPU, each the best of about a second of repeats, or of its GPU.

    Args:
        device: as backends say it; all but ``cpu`` means the GPU.

    Raises:
        BackendError: the GPU's are asked for and torch sees none.
    """
    return Peak(gemm_flops(), copy_bandwidth()) if device == "cpu" else gpu_peak()


def gpu_peak() -> Peak:
    """Peaks of the GPU by its own events; a float16 product on tensor cores, whatever the precision."""
    import torch

    if not torch.cuda.is_available():
        raise BackendError("the roof of a GPU is measured with torch, which sees no CUDA device here")
    from crossiqa_edge.bench.gpu_timing import CudaTimer
    from crossiqa_edge.bench.kernels import measure_roof

    return Peak(*measure_roof(CudaTimer(), "cuda"), product="float16 product")


def gemm_flops(side: int = _GEMM_SIDE) -> float:
    """Operations a second of a float32 product of two square matrices by onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        _product(side).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    left = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    return 2 * side**3 / _best(lambda: session.run(None, {"a": left}))


def copy_bandwidth(size: int = _COPY_BYTES) -> float:
    """Bytes a second, read and written together, of a copy that no cache can hold."""
    source = np.ones(size, np.uint8)
    target = np.empty_like(source)
    return 2 * size / _best(lambda: np.copyto(target, source))


def place(work: Work, peak: Peak, views: int, milliseconds: float) -> Reached:
    """Where an inference of ``views`` views that took ``milliseconds`` lies under the roofline."""
    reached = views * work.flops / (milliseconds / 1e3)
    intensity = work.intensity(views)
    attainable = peak.attainable(intensity)
    bound = "arithmetic" if attainable == peak.flops else "memory"
    limit = (
        f"{bound}: at {intensity:.0f} operations a byte the roof is {attainable / 1e9:.0f} GFLOP/s "
        f"(the {peak.product if bound == 'arithmetic' else 'copy'} measured here)"
    )
    return Reached(reached, reached / attainable, limit)


def _shaped(path: Path) -> tuple[Any, dict[str, tuple[int, ...]]]:
    """The graph at batch 1, and the shapes of its tensors by name."""
    graph = shape_inference.infer_shapes(_with_batch_of_one(onnx.load(path)), data_prop=True).graph
    shapes = {info.name: _shape(info) for info in (*graph.value_info, *graph.input, *graph.output)}
    return graph, shapes | {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}


def _flops(node: Any, left: tuple[int, ...], output: tuple[int, ...]) -> int:
    return 2 * int(np.prod(output)) * int(left[0] if _transposed(node) else left[-1])


def _with_batch_of_one(model: Any) -> Any:
    for port in (*model.graph.input, *model.graph.output):
        port.type.tensor_type.shape.dim[0].ClearField("dim_param")
        port.type.tensor_type.shape.dim[0].dim_value = 1
    del model.graph.value_info[:]
    return model


def _shape(info: Any) -> tuple[int, ...]:
    return tuple(dim.dim_value for dim in info.type.tensor_type.shape.dim)


def _known(shapes: Mapping[str, tuple[int, ...]], name: str, path: Path) -> tuple[int, ...]:
    shape = shapes.get(name, ())
    if not shape or 0 in shape:
        raise ArtefactError(f"{path}: the shape of {name!r} is not known, so its work cannot be counted")
    return shape


def _transposed(node: Any) -> bool:
    return any(attribute.name == "transA" and attribute.i for attribute in node.attribute)


def _product(side: int) -> Any:
    right = np.random.default_rng(1).standard_normal((side, side), dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, (side, side))],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, (side, side))],
        [numpy_helper.from_array(right, "b")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _best(call: Any) -> float:
    """Seconds of the fastest call: a peak is what the machine can do when nothing disturbs it."""
    call()
    taken: Sequence[float] = []
    end = perf_counter() + _SECONDS
    while not taken or perf_counter() < end:
        start = perf_counter()
        call()
        taken = [*taken, perf_counter() - start]
    return min(taken)
