"""A graph of ours under the knife: its layers by name, its constants as arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.runtime.artefact import Artefact

_AGAIN = "export it again from its weights"
_PLAIN = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}  # a Gemm's attributes where it is x W + b


class Linear(NamedTuple):
    """The three inputs of a linear layer: names of rows (N, in), weight (in, out) and bias (out,)."""

    rows: str
    weight: str
    bias: str


class Surgery:
    """A copy of ``model`` that may be changed, and is given back whole by ``finished``.

    ``where`` names it in error messages.
    """

    def __init__(self, model: onnx.ModelProto, where: str = "ONNX file") -> None:
        self.where = where
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        self._constants = {tensor.name: tensor for tensor in self._model.graph.initializer}
        self.nodes: list[onnx.NodeProto] = list(self._model.graph.node)

    @classmethod
    def open(cls, artefact: Artefact) -> Surgery:
        """The float32 graph of an ONNX artefact.

        Raises:
            ArtefactError: not float32, or not a graph as ``crossiqa_edge.export.graph`` writes it.
        """
        if artefact.kind != "onnx" or artefact.card.precision != "fp32":
            raise ArtefactError(
                f"{artefact.path}: {artefact.card.precision} {artefact.kind}; "
                "other precisions are made from a float32 ONNX file or from weights"
            )
        found = cls(onnx.load_from_string(artefact.read()), str(artefact.path))
        if not any(name.startswith("blocks.") for name in found.linears()):
            raise ArtefactError(f"{artefact.path}: its layers have no names; {_AGAIN}")
        for name, node in found.linears().items():
            if found.linear(node)[1:] != (f"{name}.weight", f"{name}.bias"):
                raise found._refusal(node, "whose weight or bias is not called after it")
        return found

    @property
    def opset(self) -> int:
        return int(self._model.opset_import[0].version)

    def linears(self) -> dict[str, onnx.NodeProto]:
        """Every linear layer by its name, in the order of computation."""
        return {node.name: node for node in self.nodes if node.op_type == "Gemm"}

    def linear(self, node: onnx.NodeProto) -> Linear:
        """The inputs of a ``Gemm`` that is a linear layer as ``crossiqa_edge.export.graph`` writes it.

        Raises:
            ArtefactError: it computes something else, or of what is not constant.
        """
        changed = [
            item.name for item in node.attribute if _PLAIN.get(item.name) != helper.get_attribute_value(item)
        ]
        if changed:
            raise self._refusal(node, f"with {', '.join(changed)}")
        shapes = [self.value(name).shape for name in node.input[1:] if self.is_constant(name)]
        if len(node.input) != 3 or len(shapes) != 2:
            raise self._refusal(node, "without a constant weight and a constant bias")
        if shapes[0][1:] != shapes[1]:
            raise self._refusal(node, "whose bias is not one number an output")
        return Linear(*node.input)

    def _refusal(self, node: onnx.NodeProto, what: str) -> ArtefactError:
        return ArtefactError(f"{self.where}: node {node.name!r} is a {node.op_type} {what}; {_AGAIN}")

    def node(self, name: str) -> onnx.NodeProto:
        return next(node for node in self.nodes if node.name == name)

    def is_constant(self, name: str) -> bool:
        return name in self._constants

    def value(self, name: str) -> npt.NDArray[np.float32]:
        """A constant as an array that may be changed without changing the graph.

        Raises:
            ArtefactError: there is no such constant.
        """
        if name not in self._constants:
            raise ArtefactError(f"{self.where}: it has no constant {name!r}; {_AGAIN}")
        return np.array(numpy_helper.to_array(self._constants[name]))

    def set(self, name: str, value: npt.ArrayLike) -> str:
        self._constants[name] = numpy_helper.from_array(np.array(value, order="C"), name)
        return name

    def finished(self, nodes: Iterable[onnx.NodeProto]) -> onnx.ModelProto:
        """The model with ``nodes``, without the constants that none of them reads."""
        graph = self._model.graph
        kept = list(nodes)
        read = {name for node in kept for name in node.input}
        del graph.node[:]
        graph.node.extend(kept)
        del graph.initializer[:]
        graph.initializer.extend(tensor for name, tensor in self._constants.items() if name in read)
        return self._model


def check_sound(model: onnx.ModelProto, where: str, *, shapes: bool = False) -> None:
    """See that ``model`` keeps ONNX's rules, with ``shapes`` those of shape inference as well.

    Raises:
        ArtefactError: it does not; ``where`` names it.
    """
    try:
        onnx.checker.check_model(model, full_check=shapes)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        told = " ".join(str(error).split())[:300]
        raise ArtefactError(f"{where}: the graph is not sound: {told}") from error


def cast(value: str, to: int, name: str) -> onnx.NodeProto:
    """A node that turns ``value`` into the element type ``to``."""
    return helper.make_node("Cast", [value], [name], name, to=to)


def with_outputs(model: onnx.ModelProto, values: Iterable[str]) -> onnx.ModelProto:
    """A copy of ``model`` that also gives the float32 ``values`` of its inside."""
    wider = onnx.ModelProto()
    wider.CopyFrom(model)
    wider.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in values)
    return wider
