"""Our graphs rewritten for OpenVINO's CPU kernels: the same numbers, by kernels that are faster there.

Our ONNX files suit all runtimes at once: pixels are cast first, since TensorRT takes uint8 no further than a
cast, and tokens are rows of one matrix, so that every linear map is a ``Gemm``. Two things are slow in
OpenVINO then, and are changed where a model is loaded:

- Pixels as floats are two or four times the bytes to transpose, and elementwise kernels are called once for
  every row, here of 12 numbers: pixels are ordered as bytes, and become floats a patch a row.
- Activations of two axes are quantised 16 numbers a call, by a node of its own. With tokens in an axis of
  their own, (batch, tokens, width), LayerNorm and attention write the integers themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import openvino

_CHAIN = ("Convert", "Subtract", "Reshape", "Transpose", "Reshape")
# Operators that work row by row, or number by number, whatever the axes before the last.
_BY_ROW = frozenset(
    ("MatMul", "Add", "Subtract", "Multiply", "Divide", "Erf", "Gelu", "FakeQuantize", "Convert", "MVN")
)


def rewrite(model: openvino.Model) -> None:
    """Change ``model`` in place, as far as it is one of ours."""
    order_as_bytes(model)
    part_by_picture(model)


def order_as_bytes(model: openvino.Model) -> bool:
    """Move cast and subtraction behind the reordering, in place; False where a graph does not begin so."""
    from openvino import opset13

    chain = _from_input(model)
    if [node.get_type_name() for node in chain] != list(_CHAIN):
        return False
    convert, subtract, split, transpose, join = chain
    rows = transpose.output(0).get_partial_shape()  # (batch * rows of patches, patches across, ...)
    patch = int(np.prod([rows[axis].get_length() for axis in range(2, len(rows))]))
    x = _shaped(model.input(0), *split.input_value(1).get_node().data)
    x = opset13.transpose(x, transpose.input_value(1))
    x = opset13.convert(_shaped(x, -1, patch), convert.output(0).get_element_type())
    x = opset13.subtract(x, subtract.input_value(1), name=subtract.get_friendly_name())
    join.output(0).replace(_shaped(x, *join.input_value(1).get_node().data))
    return True


def part_by_picture(model: openvino.Model) -> bool:
    """Give tokens, rows (batch * tokens, width) of one matrix, an axis of their own, in place.

    False where a graph does not join tokens to rows. What is not computed row by row still reads rows.
    """
    nodes = model.get_ordered_ops()
    tokens = next((_tokens(node) for node in nodes if _joins(node, 3)), 0)
    parted: set[str] = set()  # names of nodes whose result has tokens in an axis of their own
    for node in nodes:
        read = [at for at, value in enumerate(node.input_values()) if value.get_node().get_name() in parted]
        if _joins(node, 3) or (_joins(node, 4) and _tokens(node) == tokens):
            value = node.input_value(0)
            value = _shaped(value, -1, tokens, _width(node)) if _joins(node, 4) else value
            node.output(0).replace(value)
            parted.add(value.get_node().get_name())
        elif read and _goes_by_row(node, read):
            parted.add(node.get_name())
            if node.get_type_name() == "MVN":  # of the last axis, which was named by its place
                _read_instead(node, 1, _constant(-1))
        elif not _splits_rows(node):
            for at in read:
                _read_instead(node, at, _shaped(node.input_value(at), -1, _width(node)))
    model.validate_nodes_and_infer_types()
    return bool(tokens)


def _shaped(value: openvino.Output | openvino.Node, *lengths: int) -> openvino.Output:
    from openvino import opset13

    return opset13.reshape(value, np.array(lengths), special_zero=False).output(0)


def _constant(*values: int) -> openvino.Output:
    from openvino import opset13

    return opset13.constant(np.array(values)).output(0)


def _read_instead(node: openvino.Node, at: int, value: openvino.Output) -> None:
    node.input(at).replace_source_output(value)


def _joins(node: openvino.Node, rank: int) -> bool:
    """Whether a reshape makes rows of (batch, tokens, ...) with ``rank`` axes and more than one token."""
    if node.get_type_name() != "Reshape":
        return False
    before, after = node.input_value(0).get_partial_shape(), node.output(0).get_partial_shape()
    return len(before) == rank and len(after) == 2 and before[1].is_static and _tokens(node) > 1


def _tokens(node: openvino.Node) -> int:
    tokens: int = node.input_value(0).get_partial_shape()[1].get_length()
    return tokens


def _width(node: openvino.Node) -> int:
    """Elements of a row of what ``node`` gives."""
    shape = node.output(0).get_partial_shape()
    width: int = shape[len(shape) - 1].get_length()
    return width


def _goes_by_row(node: openvino.Node, read: list[int]) -> bool:
    """Whether it computes row by row, or number by number, out of the inputs ``read`` and constants."""
    others = [value for index, value in enumerate(node.input_values()) if index not in read]
    return node.get_type_name() in _BY_ROW and all(value.get_partial_shape().is_static for value in others)


def _splits_rows(node: openvino.Node) -> bool:
    """Whether it is a reshape that takes rows in any number of axes, since it names all lengths but one."""
    if node.get_type_name() != "Reshape":
        return False
    lengths = node.input_value(1).get_node()
    return lengths.get_type_name() == "Constant" and 0 not in lengths.data


def _from_input(model: openvino.Model) -> list[openvino.Node]:
    """The first nodes after the input, as long as each has one reader besides those of its shape."""
    chain: list[openvino.Node] = []
    port = model.input(0)
    while len(chain) < len(_CHAIN):
        readers = [target.get_node() for target in port.get_target_inputs()]
        readers = [node for node in readers if node.get_type_name() != "ShapeOf"]
        if len(readers) != 1:
            break
        chain.append(readers[0])
        port = readers[0].output(0)
    return chain
