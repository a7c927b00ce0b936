"""An artefact's graph in the words that TensorRT takes; the scores stay the same.

Two things differ. TensorRT's only operator on bytes is the cast, while our graphs order bytes first, which
is cheaper on a CPU: so the cast moves to the front. And TensorRT for RTX has no float32 matrix product on
Turing, where the head needs but one sum: so a product with a single column is spelt as a sum of products.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from crossiqa_edge.errors import MissingDependencyError

try:
    import onnx
    from onnx import helper, numpy_helper
except ImportError as error:
    raise MissingDependencyError("building for TensorRT", "export") from error

_MOVERS = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten")  # order bytes, and change none


def for_tensorrt(data: bytes) -> bytes:
    """The ONNX file ``data``, an artefact's, rewritten; card and all other metadata are kept."""
    model = onnx.load_model_from_string(data)
    _cast_first(model.graph)
    _sum_for_a_single_column(model.graph)
    onnx.checker.check_model(model)
    rewritten: bytes = model.SerializeToString()
    return rewritten


def _cast_first(graph: Any) -> None:
    """``views -> movers -> Cast`` becomes ``views -> Cast -> movers``."""
    name, movers = graph.input[0].name, []
    while True:
        consumers = [node for node in graph.node if node.input and node.input[0] == name]
        consumers = [node for node in consumers if node.op_type != "Shape"]
        if len(consumers) != 1 or consumers[0].op_type not in (*_MOVERS, "Cast"):
            return  # another graph than ours: the parser will say what it does not take
        if consumers[0].op_type == "Cast":
            break
        movers.append(consumers[0])
        name = consumers[0].output[0]
    cast = consumers[0]
    if not movers:
        return
    first = helper.make_node("Cast", [graph.input[0].name], ["views_as_numbers"], name="cast_views")
    first.attribute.extend(cast.attribute)
    movers[0].input[0] = first.output[0]
    movers[-1].output[0] = cast.output[0]
    for before, after in pairwise(movers):
        after.input[0] = before.output[0]
    graph.node.remove(cast)
    graph.node.insert(0, first)


def _sum_for_a_single_column(graph: Any) -> None:
    """``Gemm`` with weights (1, C), transposed, becomes ``Add(ReduceSum(Mul(x, w)), b)``."""
    constants = {item.name: item for item in graph.initializer}
    for position, node in enumerate(list(graph.node)):
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        weight = constants.get(node.input[1]) if node.op_type == "Gemm" else None
        if weight is None or weight.dims[0] != 1 or not attributes.get("transB"):
            continue
        axes = numpy_helper.from_array(np.array([1], np.int64), f"{node.name}_axes")
        graph.initializer.append(axes)
        products, total = f"{node.name}_products", f"{node.name}_total"
        graph.node.remove(node)
        for offset, made in enumerate(
            (
                helper.make_node("Mul", [node.input[0], weight.name], [products], name=products),
                helper.make_node("ReduceSum", [products, axes.name], [total], name=total, keepdims=1),
                helper.make_node("Add", [total, node.input[2]], [node.output[0]], name=f"{node.name}_bias"),
            )
        ):
            graph.node.insert(position + offset, made)
        return
