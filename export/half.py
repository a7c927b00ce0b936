"""fp16 as a property of the graph: every type explicit, what needs float32 in float32.

LayerNorm with its statistics, softmax, and everything from the last LayerNorm on (regression, calibration)
stay in float32, between casts of their own: no operator mixes types, as a strongly typed TensorRT network
demands. Pixels are whole numbers from -128 to 127 after their first subtraction, exact in float16.

The weights of the first linear map are not. It looks for differences between neighbours that are a hundred
times smaller than what neighbours have in common, and float16's eleven bits lose them: scores moved by up
to 0.8 points. So its weights are the sum of two float16 numbers, and the map is applied in two products.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from crossiqa_edge.export.surgery import Surgery, cast

SINGLE_OPERATORS = frozenset({"LayerNormalization", "Softmax"})
FINAL_NORM = "norm"  # from this node on all is float32
FIRST_LINEAR = "embedding.0"

_TYPES: dict[int, tuple[str, type[np.floating[Any]]]] = {
    TensorProto.FLOAT: ("float", np.float32),
    TensorProto.FLOAT16: ("half", np.float16),
}


def to_half(surgery: Surgery) -> onnx.ModelProto:
    """The float32 graph of ``surgery`` in float16, but for what the module's head names."""
    split = Surgery(surgery.finished(_first_linear_split(surgery)), surgery.where)
    return split.finished(_Typing(split).nodes())


def _first_linear_split(surgery: Surgery) -> Iterator[onnx.NodeProto]:
    """x W + b as x R + (x S + b): R is W as float16 has it, S what is left.

    Of an int8 graph W may be no constant: it comes from int8 or from float16, and nothing would be left.
    """
    for node in surgery.nodes:
        first = node.op_type == "Gemm" and node.name == FIRST_LINEAR
        if first and surgery.is_constant(node.input[1]):
            pixels, weight, bias = surgery.linear(node)
            values = surgery.value(weight)
            rounded = values.astype(np.float16).astype(np.float32)
            rest = surgery.set(f"{weight}.rest", values - rounded)
            fine = f"{FIRST_LINEAR}.fine"
            yield helper.make_node("Gemm", [pixels, rest, bias], [fine], fine)
            node.input[1] = surgery.set(f"{weight}.rounded", rounded)
            node.input[2] = fine
        yield node


class _Typing:
    """Gives each node in turn the type it computes in, and casts what arrives in another."""

    def __init__(self, surgery: Surgery) -> None:
        self.surgery = surgery
        self.types: dict[str, int] = {}  # of the float values computed so far
        self.casts: set[str] = set()

    def nodes(self) -> Iterator[onnx.NodeProto]:
        tail = False
        for node in self.surgery.nodes:
            tail = tail or node.name == FINAL_NORM
            wanted = TensorProto.FLOAT if tail or node.op_type in SINGLE_OPERATORS else TensorProto.FLOAT16
            if node.op_type == "Cast":
                node.attribute[0].i = wanted
            elif node.op_type == "Attention":
                node.attribute.append(helper.make_attribute("softmax_precision", TensorProto.FLOAT))
            elif not any(self._is_float(name) for name in node.input):
                yield node  # shapes
                continue
            yield from self._typed(node, wanted)
            self.types[node.output[0]] = wanted
            yield node

    def _is_float(self, name: str) -> bool:
        if self.surgery.is_constant(name):
            return self.surgery.value(name).dtype.kind == "f"
        return name in self.types

    def _typed(self, node: onnx.NodeProto, wanted: int) -> Iterator[onnx.NodeProto]:
        """Point the float inputs of ``node`` at values of type ``wanted``, casting where needed."""
        word, dtype = _TYPES[wanted]
        for index, name in enumerate(node.input):
            if not self._is_float(name) or self.types.get(name) == wanted:
                continue
            if self.surgery.is_constant(name):
                value = self.surgery.value(name)
                if value.dtype != dtype:
                    node.input[index] = self.surgery.set(f"{name}.{word}", value.astype(dtype))
                continue
            node.input[index] = f"{name}.{word}"
            if node.input[index] not in self.casts:
                self.casts.add(node.input[index])
                yield cast(name, wanted, node.input[index])
