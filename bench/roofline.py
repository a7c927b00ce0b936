"""How near a model comes to what the machine can do: operations and bytes from the graph, peaks measured.

Operations are counted from the shapes in the ONNX graph, two for each multiply-add of a matrix product (our
graphs have no convolution); all else is at most a few percent and left out. Bytes are the least that must
move once per inference: every weight, and input and output of every matrix product, as if nothing but those
left the caches. The peaks are what this machine really does in the same run, not what its data sheet
promises: on a CPU large matrix products in float32 and int8 through the runtimes (``cpu_peaks.py``), on a GPU
one in float16 through torch, and a copy of an array beyond all caches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from crossiqa_edge.errors import ArtefactError, BackendError, MissingDependencyError

try:
    import onnx
    from onnx import numpy_helper, shape_inference
except ImportError as error:
    raise MissingDependencyError("counting the operations of a graph", "export") from error

_PRODUCTS = frozenset({"MatMul", "Gemm", "MatMulInteger", "QLinearMatMul"})
_COPY_BYTES = 256 << 20
_COPY_SECONDS = 1.0


@dataclass(frozen=True)
class Work:
    """What one inference of one view takes.

    Attributes:
        flops: floating-point and integer operations, a multiply-add counting two.
        integer_flops: those of them in products of integers.
        weight_bytes: of all initialisers, read once an inference whatever the batch.
        activation_bytes: read and written by the matrix products.
    """

    flops: int
    weight_bytes: int
    activation_bytes: int
    integer_flops: int = 0

    def intensity(self, batch: int) -> float:
        """Operations a byte at ``batch`` views an inference."""
        return batch * self.flops / (self.weight_bytes + batch * self.activation_bytes)


@dataclass(frozen=True)
class Peak:
    """What the machine did: operations a second of a large product, bytes a second of a copy.

    Attributes:
        product: what was multiplied, in words.
        integer_flops: of a product in int8; ``flops`` where None.
    """

    flops: float
    bandwidth: float
    product: str = "float32 product"
    integer_flops: float | None = None

    def arithmetic(self, work: Work) -> float:
        """Operations a second of ``work`` where each product goes at the peak of its type."""
        integer = work.integer_flops / (self.integer_flops or self.flops)
        return work.flops / ((work.flops - work.integer_flops) / self.flops + integer)

    def attainable(self, work: Work, batch: int) -> float:
        """Operations a second at ``batch`` views an inference: the roofline (Williams et al., 2009)."""
        return min(self.arithmetic(work), work.intensity(batch) * self.bandwidth)


@dataclass(frozen=True)
class Reached:
    """One measurement under the roofline.

    Attributes:
        flops: operations a second that were reached.
        share: of what is attainable; above 1 where the model's products beat the large ones measured.
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
    return Work(flops, weights, activations, _integer_flops(graph, shapes, path))


def _integer_flops(graph: Any, shapes: Mapping[str, tuple[int, ...]], path: Path) -> int:
    """Operations of one view in products both of whose factors come from integers (Q/DQ)."""
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
    """Peaks of this machine's CPU, each the best of a second in the better runtime, or of its GPU.

    Args:
        device: as backends say it; all but ``cpu`` means the GPU.

    Raises:
        BackendError: the GPU's are asked for and torch sees none.
    """
    if device != "cpu":
        return gpu_peak()
    from crossiqa_edge.bench.cpu_peaks import peaks

    rates = {name: 1e9 * rate for name, rate in peaks().items()}
    single = max(rate for name, rate in rates.items() if "float32" in name)
    integer = max(rate for name, rate in rates.items() if "float32" not in name)
    return Peak(single, copy_bandwidth(), integer_flops=integer)


def gpu_peak() -> Peak:
    """Peaks of the GPU by its own events; a float16 product on tensor cores, whatever the precision."""
    import torch

    if not torch.cuda.is_available():
        raise BackendError("the roof of a GPU is measured with torch, which sees no CUDA device here")
    from crossiqa_edge.bench.gpu_timing import CudaTimer
    from crossiqa_edge.bench.kernels import measure_roof

    return Peak(*measure_roof(CudaTimer(), "cuda"), product="float16 product")


def copy_bandwidth(size: int = _COPY_BYTES) -> float:
    """Bytes a second, read and written together, of the fastest copy, which no cache can hold."""
    source = np.ones(size, np.uint8)
    target = np.empty_like(source)
    np.copyto(target, source)
    fastest, end = float("inf"), perf_counter() + _COPY_SECONDS
    while perf_counter() < end:
        start = perf_counter()
        np.copyto(target, source)
        fastest = min(fastest, perf_counter() - start)
    return 2 * size / fastest


def place(work: Work, peak: Peak, views: int, milliseconds: float) -> Reached:
    """Where an inference of ``views`` views that took ``milliseconds`` lies under the roofline."""
    reached = views * work.flops / (milliseconds / 1e3)
    intensity = work.intensity(views)
    attainable = peak.attainable(work, views)
    bound = "arithmetic" if attainable == peak.arithmetic(work) else "memory"
    product = peak.product
    if work.integer_flops and peak.integer_flops:
        product += f" and, for {work.integer_flops / work.flops:.0%} of the work, the int8 product"
    limit = (
        f"{bound}: at {intensity:.0f} operations a byte the roof is {attainable / 1e9:.0f} GFLOP/s "
        f"(the {product if bound == 'arithmetic' else 'copy'} measured here)"
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
