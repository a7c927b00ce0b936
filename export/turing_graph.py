"""A float32 graph without matrix products, for Turing: TensorRT for RTX has none in float32 there.

It has convolutions, so a linear layer becomes one of a single pixel; and attention's two products become sums
of products by broadcasting. That is the same arithmetic, in kernels that are slow for it: what Turing is fast
at is float16.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from crossiqa_edge.errors import MissingDependencyError

try:
    import onnx
    from onnx import TensorProto, helper

    from crossiqa_edge.export.surgery import Surgery, check_sound
except ImportError as error:
    raise MissingDependencyError("building for TensorRT", "export") from error


def without_float32_products(data: bytes, where: str = "ONNX file") -> bytes:
    """The ONNX file ``data``, of ours, without float32 ``Gemm`` and ``MatMul``; other types keep theirs.

    Raises:
        ArtefactError: a ``Gemm`` is no linear layer as ``graph`` writes it, or the graph breaks ONNX's
            rules; ``where`` names the file.
    """
    model = onnx.load_model_from_string(data)
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    floats = {item.name for item in inferred if item.type.tensor_type.elem_type == TensorProto.FLOAT}
    surgery = Surgery(model, where)
    nodes: list[onnx.NodeProto] = []
    for node in surgery.nodes:
        if node.op_type == "Gemm" and node.output[0] in floats:
            nodes += _convolution(surgery, node)
        elif node.op_type == "MatMul" and node.output[0] in floats:
            nodes += _sum_of_products(surgery, node)
        else:
            nodes.append(node)
    changed = surgery.finished(nodes)
    check_sound(changed, where)
    rewritten: bytes = changed.SerializeToString()
    return rewritten


def _convolution(surgery: Surgery, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """Rows (N, in) as pictures (N, in, 1): its weights, (in, out), become a kernel, (out, in, 1)."""
    rows, weight, bias = surgery.linear(node)
    kernel = surgery.value(weight).T[:, :, None]
    wide, narrow = ([-1, kernel.shape[1], 1], [-1, kernel.shape[0]])
    yield from _reshape(surgery, rows, wide, f"{node.name}.wide")
    parts = [f"{node.name}.wide", surgery.set(f"{weight}.kernel", kernel), bias]
    yield helper.make_node("Conv", parts, [f"{node.name}.tall"], node.name)
    yield from _reshape(surgery, f"{node.name}.tall", narrow, node.output[0])


def _sum_of_products(surgery: Surgery, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """(..., M, K, 1) times (..., 1, K, N), summed over K."""
    name = node.name
    axes = {at: surgery.set(f"axis {at}", np.array([at])) for at in (-1, -2, -3)}
    yield helper.make_node("Unsqueeze", [node.input[0], axes[-1]], [f"{name}.left"], f"{name}.left")
    yield helper.make_node("Unsqueeze", [node.input[1], axes[-3]], [f"{name}.right"], f"{name}.right")
    yield helper.make_node("Mul", [f"{name}.left", f"{name}.right"], [f"{name}.products"], f"{name}.products")
    yield helper.make_node("ReduceSum", [f"{name}.products", axes[-2]], node.output, name, keepdims=0)


def _reshape(surgery: Surgery, value: str, shape: list[int], name: str) -> Iterator[onnx.NodeProto]:
    lengths = surgery.set("to " + " ".join(map(str, shape)), np.array(shape))
    yield helper.make_node("Reshape", [value, lengths], [name], f"{name}.reshape")
