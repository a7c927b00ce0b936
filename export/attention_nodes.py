"""Attention as one node of the ONNX graph, which a TensorRT plugin can take over.

The node is ``crossiqa::FusedAttention``: (batch, tokens, 3 * width) as the QKV projection writes it to
(batch, tokens, width) as the output projection reads it. The file also has a function of that name, made
of standard operators: runtimes without the plugin compute the function, so that the file still runs, and
is accepted, everywhere. A TensorRT builder that has the plugin is given ``only_nodes`` of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from crossiqa_edge.errors import ArtefactError, MissingDependencyError

try:
    import onnx
    import onnx.parser
    from onnx import helper, numpy_helper
except ImportError as error:
    raise MissingDependencyError("rewriting ONNX graphs", "export") from error

NAMESPACE = "crossiqa"
NAME = "FusedAttention"
VERSION = 1

# How ``crossiqa_edge.export.graph`` brings (batch, tokens, 3, heads, dim) to heads, and back to tokens.
_TO_HEADS = [2, 0, 3, 1, 4]
_TO_TOKENS = [0, 2, 1, 3]
_PARTS = 3
_AGAIN = "export it again"

_FUNCTION = """
<opset_import: ["" : OPSET], domain: "crossiqa">
FusedAttention <heads, scale, plugin_namespace, aot> (qkv) => (out)
{
    first = Constant <value_ints = [0]> ()
    same = Constant <value_ints = [0, 0]> ()
    three = Constant <value_ints = [3]> ()
    rest = Constant <value_ints = [-1]> ()
    head_count = Constant <value_int: int = @heads> ()
    heads_1d = Reshape (head_count, rest)
    packed_shape = Concat <axis = 0> (same, three, heads_1d, rest)
    packed = Reshape (qkv, packed_shape)
    by_head = Transpose <perm = [2, 0, 3, 1, 4]> (packed)
    queries, keys, values = Split <axis = 0, num_outputs = 3> (by_head)
    query = Squeeze (queries, first)
    key = Squeeze (keys, first)
    value = Squeeze (values, first)
    key_columns = Transpose <perm = [0, 1, 3, 2]> (key)
    products = MatMul (query, key_columns)
    factor = Constant <value_float: float = @scale> ()
    factor_like = CastLike (factor, products)
    scores = Mul (products, factor_like)
    weights = Softmax <axis = -1> (scores)
    context = MatMul (weights, value)
    tokens_first = Transpose <perm = [0, 2, 1, 3]> (context)
    joined_shape = Concat <axis = 0> (same, rest)
    out = Reshape (tokens_first, joined_shape)
}
"""


def with_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a graph of ours, of any precision, with a node for every self-attention but the last.

    Of the last block only the class token asks, which is no self-attention. Scores stay what they are.

    Raises:
        ArtefactError: no such attention is found, or one that is not as ``graph`` writes it.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    found = [node for node in graph.node if _splits_self_attention(graph, node)]
    if not found:
        raise ArtefactError("there is no attention in this graph that a plugin could take; export it again")
    opset = next(item.version for item in made.opset_import if item.domain == "")
    for transpose in found:
        _replace(graph, transpose, scaled=opset >= 23)
    _drop_unread(graph)
    made.functions.append(onnx.parser.parse_function(_FUNCTION.replace("OPSET", str(opset))))
    made.opset_import.append(helper.make_opsetid(NAMESPACE, VERSION))
    return made


def only_nodes(data: bytes) -> bytes:
    """A serialised model without the function, for a TensorRT builder that has the plugin registered."""
    model = onnx.load_from_string(data)
    kept = [item for item in model.functions if (item.domain, item.name) != (NAMESPACE, NAME)]
    del model.functions[:]
    model.functions.extend(kept)
    stripped: bytes = model.SerializeToString()
    return stripped


def has_nodes(model: onnx.ModelProto) -> bool:
    """Whether the graph asks for the plugin."""
    return any((node.domain, node.op_type) == (NAMESPACE, NAME) for node in model.graph.node)


def _splits_self_attention(graph: onnx.GraphProto, node: onnx.NodeProto) -> bool:
    """Whether ``node`` brings queries, keys and values of the same tokens to the heads."""
    if node.op_type != "Transpose" or _perm(node) != _TO_HEADS:
        return False
    return _axes(graph, node)[2] == _PARTS


def _replace(graph: onnx.GraphProto, transpose: onnx.NodeProto, *, scaled: bool) -> None:
    """Put a node in the place of what lies between ``transpose`` and the rows that it comes back to."""
    split = _producer(graph, transpose.input[0])
    tokens, three, heads, dim = _axes(graph, transpose)[1:]
    back = _next(graph, transpose.output[0], _TO_TOKENS)
    name = f"{split.input[0]}.attention"
    shape = numpy_helper.from_array(np.array([-1, tokens, three * heads * dim]), f"{name}.shape")
    graph.initializer.append(shape)
    # Up to opset 18 the exporter folds the scale into the queries; Attention of opset 23 has it inside.
    node = helper.make_node(
        NAME,
        [f"{name}.packed"],
        [name],
        name,
        domain=NAMESPACE,
        heads=heads,
        scale=dim**-0.5 if scaled else 1.0,
        plugin_namespace=NAMESPACE,
        aot=1,
    )
    packed = helper.make_node("Reshape", [split.input[0], shape.name], [f"{name}.packed"], f"{name}.packed")
    coded = _as_before(graph, back, name)
    place = list(graph.node).index(split)
    for made in reversed([packed, node, *coded]):
        graph.node.insert(place, made)
    result = coded[-1].output[0] if coded else name
    for reader in graph.node:
        for index, read in enumerate(reader.input):
            if read == back.output[0]:
                reader.input[index] = result


def _as_before(graph: onnx.GraphProto, back: onnx.NodeProto, name: str) -> list[onnx.NodeProto]:
    """Quantisation of ``name`` as of what ``back`` transposed; no nodes where that was not quantised."""
    restore = _producer(graph, back.input[0])
    if restore.op_type != "DequantizeLinear":
        return []
    quantise = _producer(graph, restore.input[0])
    code, restored = f"{name}.int8", f"{name}.restored"
    return [
        helper.make_node("QuantizeLinear", [name, *quantise.input[1:]], [code], code),
        helper.make_node("DequantizeLinear", [code, *restore.input[1:]], [restored], restored),
    ]


def _next(graph: Any, start: str, perm: Sequence[int]) -> Any:
    """The first transposition by ``perm`` that reads what comes of ``start``."""
    reached = {start}
    for node in graph.node:  # in the order of computation
        if reached & set(node.input):
            if node.op_type == "Transpose" and _perm(node) == list(perm):
                return node
            reached.update(node.output)
    raise ArtefactError(f"the attention after {start!r} does not come back to tokens; {_AGAIN}")


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Take out nodes and constants that nothing reads any more."""
    read = {output.name for output in graph.output}
    for node in reversed(graph.node):
        if read & set(node.output):
            read.update(node.input)
    for items in (graph.node, graph.initializer):
        kept = [item for item in items if read & set(getattr(item, "output", [item.name]))]
        del items[:]
        items.extend(kept)


def _axes(graph: onnx.GraphProto, transpose: onnx.NodeProto) -> list[int]:
    """The five lengths that rows are split into before ``transpose``, which brings them to the heads."""
    split = _producer(graph, transpose.input[0])
    shapes = {item.name: item for item in graph.initializer}
    constant = shapes.get(split.input[1]) if split.op_type == "Reshape" else None
    lengths = [] if constant is None else numpy_helper.to_array(constant).ravel().tolist()
    if len(lengths) != len(_TO_HEADS):
        raise ArtefactError(f"{transpose.name!r} brings to heads what was not split for them; {_AGAIN}")
    return lengths


def _producer(graph: Any, name: str) -> Any:
    for node in graph.node:
        if name in node.output:
            return node
    raise ArtefactError(f"no node computes {name!r}; {_AGAIN}")


def _perm(node: onnx.NodeProto) -> list[int]:
    return next((list(item.ints) for item in node.attribute if item.name == "perm"), [])
