"""The network as an ONNX graph, written out operator by operator from its parameters.

The graph computes what ``QualityModel`` does, arranged for runtimes rather than for training:

- Pixels are centred by one subtraction of 128, which is exact in float16 and int8 alike; the card's mean and
  deviation are folded into the first linear map, and the scale of attention into the query's.
- Pixels are brought into the order of the embedding once, while they are three numbers each.
- Tokens are rows of one matrix, (batch * tokens, width): every linear map is a ``Gemm`` with its bias.
- Of the last block only the class token is computed beyond its keys and values: no other token is read.
- No tensor has more than eight dimensions, the most that TensorRT takes.

A ``Gemm`` bears the name of the layer that it is, ``blocks.0.mlp.fc1``, and so do its ``.weight`` and
``.bias``: by these the passes for fp16 and int8 know what they meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from crossiqa_edge.card import CARD_KEY, ModelCard
from crossiqa_edge.errors import ArtefactError, MissingDependencyError
from crossiqa_edge.model.family import PATCH_SIZE, family_size
from crossiqa_edge.version import __version__

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    raise MissingDependencyError("writing ONNX graphs", "export") from error

Array = npt.NDArray[np.float32]
Parameters = Mapping[str, Array]

OPSET = 18  # what TensorRT 10.3 (JetPack 6) and every onnxruntime since 1.14 read
FUSED_OPSET = 23  # has Attention and Gelu as operators
OPSETS = (OPSET, FUSED_OPSET)
IR_VERSION = {OPSET: 8, FUSED_OPSET: 11}

CENTRE = 128.0  # subtracted from the pixels, which leaves integers from -128 to 127
EPSILON = 1e-6  # of timm's LayerNorm


def build(parameters: Parameters, card: ModelCard, opset: int = OPSET) -> onnx.ModelProto:
    """The graph of ``card``'s network: ``views`` uint8 (batch, S, S, 3) to ``score`` float32 (batch,).

    Args:
        parameters: float32 by the names of ``QualityModel.state_dict()``.
        card: gives the family's size, the constants, and is embedded as it is.
        opset: one of ``OPSETS``.

    Raises:
        ArtefactError: a parameter is missing, or one is there that this network has no place for.
    """
    graph = _Graph(parameters, opset)
    tokens = _embedding(graph, card)
    _calibration(graph, _head(graph, _encoder(graph, tokens, card)), card)
    return graph.finished(card)


def _embedding(graph: _Graph, card: ModelCard) -> str:
    """``views`` to the tokens before the first block, (batch * (1 + patches), width)."""
    family = family_size(card.size)
    linear = card.embedding == "linear"
    merges, levels = _merges(() if linear else family.levels)
    side = card.view_size // PATCH_SIZE
    x = graph.add("Cast", "views", to=TensorProto.FLOAT)
    x = graph.add("Sub", x, graph.constant("centre", np.float32(CENTRE)), name="pixels")
    x = _pixels_by_level(graph, x, side, merges)
    weights = [graph.take(f"encoder.patch_embed.{name}.weight") for name in levels]
    biases = [graph.take(f"encoder.patch_embed.{name}.bias") for name in levels]
    if linear:  # a convolution: (width, 3, P, P)
        weights[0] = weights[0].transpose(0, 2, 3, 1).reshape(len(weights[0]), -1)
    weights[0], biases[0] = _with_normalisation(weights[0], biases[0], card)
    for index, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        if index:
            x = graph.reshape(_gelu(graph, x), -1, weight.shape[1])
        x = graph.linear(x, f"embedding.{index}", weight, bias)
    return _with_class_token(graph, x, side * side, family.width)


def _merges(levels: tuple[tuple[int, int], ...]) -> tuple[list[int], list[str]]:
    """Pixels merged per side at each level, outermost first, and the levels' names, innermost first."""
    inner = [merge for merge, _ in levels]
    outermost = PATCH_SIZE // int(np.prod(inner, dtype=int))
    names = [f"levels.{index}" for index in range(len(levels) + 1)] if levels else ["proj"]
    return [outermost, *reversed(inner)], names


def _pixels_by_level(graph: _Graph, x: str, side: int, merges: list[int]) -> str:
    """(batch, S, S, 3) to rows of one innermost group each, (-1, m * m * 3), patch by patch.

    The innermost merge across and the three colours stay together, and the batch is merged with the rows
    of patches, which saves two of the eight dimensions.
    """
    inner = merges[-1]
    depth = len(merges)
    split = graph.reshape(x, -1, *merges, side, *merges[:-1], inner * 3)
    down = list(range(1, 1 + depth))
    across = list(range(2 + depth, 2 + 2 * depth))
    pairs = [axis for pair in zip(down, across, strict=True) for axis in pair]
    ordered = graph.add("Transpose", split, perm=[0, 1 + depth, *pairs])
    return graph.reshape(ordered, -1, inner * inner * 3)


def _with_normalisation(weight: Array, bias: Array, card: ModelCard) -> tuple[Array, Array]:
    """The first linear map as it is for pixels less ``CENTRE``, computed in float64."""
    mean, deviation = (255 * np.array(values, np.float64) for values in (card.mean, card.std))
    by_colour = weight.astype(np.float64).reshape(len(weight), -1, 3) / deviation
    offset = (by_colour * (CENTRE - mean)).sum(axis=(1, 2))
    return by_colour.reshape(len(weight), -1).astype(np.float32), (bias + offset).astype(np.float32)


def _with_class_token(graph: _Graph, patches: str, count: int, width: int) -> str:
    positions = graph.take("encoder.pos_embed")
    x = graph.reshape(patches, -1, count, width)
    x = graph.add("Add", x, graph.constant("positions", positions[0, 1:]))
    token = graph.constant("class_token", graph.take("encoder.cls_token") + positions[:, :1])
    batch = graph.add("Shape", "views", end=1)
    shape = graph.add("Concat", batch, graph.constant("token_shape", np.array([1, width])), axis=0)
    x = graph.add("Concat", graph.add("Expand", token, shape), x, axis=1)
    return graph.reshape(x, -1, width, name="tokens")


def _encoder(graph: _Graph, x: str, card: ModelCard) -> str:
    """All blocks and the final LayerNorm: (batch * tokens, width) to the class tokens, (batch, width)."""
    family = family_size(card.size)
    tokens = 1 + (card.view_size // PATCH_SIZE) ** 2
    for index in range(family.depth):
        name = f"blocks.{index}"
        normed = _layer_norm(graph, x, f"{name}.norm1")
        if index < family.depth - 1:
            attended = _self_attention(graph, normed, name, family.heads, tokens)
        else:
            attended = _class_attention(graph, normed, name, family.heads, tokens)
            x = _class_rows(graph, x, tokens)
        x = graph.add("Add", x, _linear(graph, attended, f"{name}.attn.proj"))
        hidden = _linear(graph, _layer_norm(graph, x, f"{name}.norm2"), f"{name}.mlp.fc1")
        x = graph.add("Add", x, _linear(graph, _gelu(graph, hidden), f"{name}.mlp.fc2"), name=name)
    return _layer_norm(graph, x, "norm")


def _self_attention(graph: _Graph, x: str, name: str, heads: int, tokens: int) -> str:
    """Every token asks every token: (batch * tokens, width), before the output projection."""
    weight, bias = _query_key_value(graph, name, heads)
    packed = graph.linear(x, f"{name}.attn.qkv", weight, bias)
    query, key, value = _by_head(graph, packed, tokens, 3, heads, weight.shape[1])
    return _attention(graph, query, key, value, weight.shape[1])


def _class_attention(graph: _Graph, x: str, name: str, heads: int, tokens: int) -> str:
    """The class token alone asks every token: (batch, width), before the output projection."""
    weight, bias = _query_key_value(graph, name, heads)
    width = weight.shape[1]
    asking = graph.linear(_class_rows(graph, x, tokens), f"{name}.attn.q", weight[:width], bias[:width])
    packed = graph.linear(x, f"{name}.attn.kv", weight[width:], bias[width:])
    (query,) = _by_head(graph, asking, 1, 1, heads, width)
    key, value = _by_head(graph, packed, tokens, 2, heads, width)
    return _attention(graph, query, key, value, width)


def _by_head(graph: _Graph, packed: str, tokens: int, parts: int, heads: int, width: int) -> list[str]:
    """Rows of ``parts`` vectors, (batch * tokens, parts * width), to (batch, heads, tokens, head width) each.

    Packed because one wide product is faster than narrow ones, and because OpenVINO 2026.4 fails on int8 rows
    of 192 that become axes of 197, 3 and 64.
    """
    split = graph.reshape(packed, -1, tokens, parts, heads, width // heads)
    split = graph.add("Transpose", split, perm=[2, 0, 3, 1, 4])
    return [
        graph.add("Gather", split, graph.constant(f"part{part}", np.int64(part)), axis=0)
        for part in range(parts)
    ]


def _query_key_value(graph: _Graph, name: str, heads: int) -> tuple[Array, Array]:
    """The packed projection, (3 * width, width) and (3 * width,), its queries scaled for attention."""
    weight = graph.take(f"encoder.{name}.attn.qkv.weight").copy()
    bias = graph.take(f"encoder.{name}.attn.qkv.bias").copy()
    width = weight.shape[1]
    if graph.opset == OPSET:
        for part in (weight, bias):
            part[:width] *= np.float32((width // heads) ** -0.5)
    return weight, bias


def _attention(graph: _Graph, query: str, key: str, value: str, width: int) -> str:
    """(batch, heads, tokens, head width) each, to rows (-1, width)."""
    if graph.opset == FUSED_OPSET:  # which scales by 1 / sqrt(head width) of itself
        mixed = graph.add("Attention", query, key, value)
    else:
        likeness = graph.add("MatMul", query, graph.add("Transpose", key, perm=[0, 1, 3, 2]))
        mixed = graph.add("MatMul", graph.add("Softmax", likeness, axis=-1), value)
    return graph.reshape(graph.add("Transpose", mixed, perm=[0, 2, 1, 3]), -1, width)


def _class_rows(graph: _Graph, x: str, tokens: int) -> str:
    """Every ``tokens``-th row from the first.

    Sliced, not reshaped: OpenVINO 2026.4 fails on int8 graphs in which a LayerNorm feeds a reshape.
    """
    limits = {"first row": 0, "last row": np.iinfo(np.int32).max, "axis 0": 0, f"every {tokens}": tokens}
    return graph.add("Slice", x, *(graph.constant(key, np.array([at])) for key, at in limits.items()))


def _linear(graph: _Graph, x: str, name: str) -> str:
    weight, bias = (graph.take(f"encoder.{name}.{part}") for part in ("weight", "bias"))
    return graph.linear(x, name, weight, bias)


def _layer_norm(graph: _Graph, x: str, name: str) -> str:
    scale, shift = (
        graph.constant(f"{name}.{part}", graph.take(f"encoder.{name}.{part}")) for part in ("weight", "bias")
    )
    return graph.add("LayerNormalization", x, scale, shift, name=name, axis=-1, epsilon=EPSILON)


def _gelu(graph: _Graph, x: str) -> str:
    """x (1 + erf(x / sqrt 2)) / 2, in the order of operators that onnxruntime and TensorRT fuse."""
    if graph.opset == FUSED_OPSET:
        return graph.add("Gelu", x)
    constants = {"root_two": np.sqrt(2), "one": 1, "half": 0.5}
    root, one, half = (graph.constant(name, np.float32(value)) for name, value in constants.items())
    bent = graph.add("Add", graph.add("Erf", graph.add("Div", x, root)), one)
    return graph.add("Mul", graph.add("Mul", x, bent), half)


def _head(graph: _Graph, class_tokens: str) -> str:
    """A single sum of products, spelt as such: TensorRT for RTX has no float32 matrix product on Turing."""
    weight = graph.constant("head.weight", graph.take("head.weight"))
    products = graph.add("Mul", class_tokens, weight, name="head")
    total = graph.add("ReduceSum", products, graph.constant("last", np.array([-1])), keepdims=0)
    return graph.add("Add", total, graph.constant("head.bias", graph.take("head.bias")))


def _calibration(graph: _Graph, raw: str, card: ModelCard) -> None:
    slope, offset = (
        graph.constant(name, np.float32(value))
        for name, value in zip(("slope", "offset"), card.calibration, strict=True)
    )
    line = graph.add("Add", graph.add("Mul", raw, slope), offset)
    share = graph.add("Sigmoid", line)
    graph.add("Mul", share, graph.constant("hundred", np.float32(100)), name="score")


class _Graph:
    """Nodes and constants as they come; a node's only output has the node's name."""

    def __init__(self, parameters: Parameters, opset: int) -> None:
        self.opset = opset
        self._parameters = dict(parameters)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def take(self, name: str) -> Array:
        """The parameter ``name``, which may be taken once."""
        try:
            return np.asarray(self._parameters.pop(name), np.float32)
        except KeyError:
            raise ArtefactError(
                f"the weights lack {name}; they are not those of the card's network"
            ) from None

    def constant(self, name: str, value: npt.ArrayLike) -> str:
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.array(value, order="C"), name)
        return name

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        name = name or f"{operator.lower()}.{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def reshape(self, x: str, *shape: int, name: str = "") -> str:
        constant = self.constant("to " + " ".join(map(str, shape)), np.array(shape, np.int64))
        return self.add("Reshape", x, constant, name=name)

    def linear(self, x: str, name: str, weight: Array, bias: Array) -> str:
        """``weight`` (out, in) is written as (in, out): int8 kernels read columns of one scale each."""
        columns = self.constant(f"{name}.weight", weight.T)
        return self.add("Gemm", x, columns, self.constant(f"{name}.bias", bias), name=name)

    def finished(self, card: ModelCard) -> onnx.ModelProto:
        if self._parameters:
            left = ", ".join(sorted(self._parameters)[:3])
            raise ArtefactError(f"the weights hold {left}, which the card's network has not")
        side = card.view_size
        views = helper.make_tensor_value_info("views", TensorProto.UINT8, ["batch", side, side, 3])
        score = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"])
        graph = helper.make_graph(self._nodes, "crossiqa", [views], [score], [*self._constants.values()])
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", self.opset)],
            ir_version=IR_VERSION[self.opset],
            producer_name="crossiqa-edge",
            producer_version=__version__,
        )
        helper.set_model_props(model, {CARD_KEY: card.to_json()})
        return model
