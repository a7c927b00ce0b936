"""int8 as a property of the graph: explicit quantise and dequantise nodes around its linear layers.

Everything is symmetric int8 with zero point 0, which TensorRT asks for: one scale for the activation that
enters a layer, one for each output channel of its weights, which are stored as int8. Biases stay float32,
added after the product, since TensorRT has no int32 constants to dequantise. Attention between its
projections, softmax, LayerNorm, residuals and the head stay in float32, and so does the embedding of
pixels unless asked for: it is there that quality is seen, and its activations span the widest range.
Its weights, which would otherwise be the largest part of the file, are stored in float16.

Activations are quantised where they are computed, before they are transposed: so a quarter of the bytes is
moved, and OpenVINO quantises within its attention kernel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.export.calibration import METHODS, rows_a_view, thresholds
from crossiqa_edge.export.smoothing import STRENGTH, smooth
from crossiqa_edge.export.surgery import Surgery, cast
from crossiqa_edge.imaging.sampling import Views

EMBEDDING = "embedding."
_STEPS = 127
_SMALLEST = 1e-8  # a scale of a channel that is all zero
_PAIR_SUM = 32767 / 255  # see ``weight_scales``
_MOVES = ("Reshape", "Transpose")
_LARGE = 4096  # float32 constants with more elements than this are stored in float16

Weights = npt.NDArray[np.float32]  # (in, out)
Scales = npt.NDArray[np.float32]  # (out,)


@dataclass(frozen=True, slots=True)
class Calibration:
    """How the scales of activations are found.

    Attributes:
        method: a key of ``crossiqa_edge.export.calibration.METHODS``.
        smoothing: strength of scale migration, 0 (none) to 1, see ``smoothing``.
    """

    method: str = "percentile"
    smoothing: float = STRENGTH

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"unknown calibration {self.method!r}; choose from {', '.join(METHODS)}")
        if not 0 <= self.smoothing <= 1:
            raise ConfigError(f"smoothing is from 0 to 1, not {self.smoothing}")


class Quantiser:
    """A float32 graph with all that is needed to put any of its linear layers into int8.

    Attributes:
        layers: names of all linear layers, in the order of computation.
    """

    def __init__(self, surgery: Surgery, views: Views, calibration: Calibration) -> None:
        self._surgery = smooth(surgery, views, calibration.smoothing) if calibration.smoothing else surgery
        self._calibration = calibration
        self._views = len(views)
        linears = self._surgery.linears()
        self.layers = tuple(linears)
        model = self._surgery.finished(self._surgery.nodes)
        entering = [node.input[0] for node in linears.values()]
        self._reach = thresholds(model, entering, views, calibration.method)
        self._rows = rows_a_view(model, entering, views)

    def default_layers(self) -> tuple[str, ...]:
        """All layers but those of the embedding."""
        return tuple(name for name in self.layers if not name.startswith(EMBEDDING))

    def multiplications(self) -> dict[str, int]:
        """How many multiplications each linear layer takes for one view."""
        return {
            name: self._rows[node.input[0]] * self._surgery.value(f"{name}.weight").size
            for name, node in self._surgery.linears().items()
        }

    def quantised(self, layers: Collection[str]) -> onnx.ModelProto:
        """The graph with ``layers`` in int8 and all others in float32."""
        surgery = Surgery(self._surgery.finished(self._surgery.nodes), self._surgery.where)
        return surgery.finished(_Insertion(surgery, self._reach, frozenset(layers)).nodes())

    def facts(self, layers: Collection[str]) -> dict[str, Any]:
        """What the card keeps of how the graph was made."""
        left = [name for name in self.layers if name not in layers]
        return {"views": self._views, **asdict(self._calibration), "float_layers": left}


class _Insertion:
    """Goes through the nodes and rewrites each linear layer that is to be int8."""

    def __init__(self, surgery: Surgery, reach: dict[str, float], layers: frozenset[str]) -> None:
        self.surgery = surgery
        self.reach = reach
        self.layers = layers
        self.quantised: set[str] = set()
        self.widened: set[str] = set()
        self.moved = self._moved()

    def _moved(self) -> dict[str, str]:
        """First node of each chain that only moves what an int8 layer reads -> what the layer reads."""
        makers = {output: node for node in self.surgery.nodes for output in node.output}
        readers = Counter(name for node in self.surgery.nodes for name in node.input)
        chains = {}
        for layer in self.layers:
            first, name = None, self.surgery.node(layer).input[0]
            while (maker := makers[name]).op_type in _MOVES and readers[name] == 1:
                first, name = maker, maker.input[0]
            if first is not None and readers[name] == 1:
                chains[first.name] = self.surgery.node(layer).input[0]
        return chains

    def nodes(self) -> Iterator[onnx.NodeProto]:
        for node in self.surgery.nodes:
            if node.name in self.layers and node.op_type == "Gemm":
                yield from self.int8_layer(node)
                continue
            if node.name in self.moved:
                source, read = node.input[0], self.moved[node.name]
                yield from self.activation(source, self.reach[read])
                node.input[0] = _restored(source)
            yield from self.slimmed(node)
            yield node

    def int8_layer(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """Gemm with a bias -> Q/DQ on the activation, DQ on the weights, Gemm, and the bias by itself."""
        activation, weight, bias = node.input
        product = f"{node.name}.product"
        if activation not in self.moved.values():
            yield from self.activation(activation, self.reach[activation])
            activation = _restored(activation)
        yield self.weight(weight)
        yield helper.make_node("Gemm", [activation, _restored(weight)], [product], node.name)
        yield helper.make_node("Add", [product, bias], node.output, f"{node.name}.shifted")

    def activation(self, name: str, reach: float) -> Iterator[onnx.NodeProto]:
        if name in self.quantised:
            return
        self.quantised.add(name)
        scale = max(reach / _STEPS, _SMALLEST)
        constants = [
            self.surgery.set(f"{name}.scale", np.float32(scale)),
            self.surgery.set("zero", np.int8(0)),
        ]
        code = f"{name}.int8"
        yield helper.make_node("QuantizeLinear", [name, *constants], [code], code)
        yield helper.make_node("DequantizeLinear", [code, *constants], [_restored(name)], _restored(name))

    def weight(self, name: str) -> onnx.NodeProto:
        values = self.surgery.value(name)
        scales = weight_scales(values)
        codes = np.clip(np.rint(values / scales), -_STEPS, _STEPS).astype(np.int8)
        inputs = [
            self.surgery.set(f"{name}.int8", codes),
            self.surgery.set(f"{name}.scale", scales),
            self.surgery.set(f"zeros.{len(scales)}", np.zeros(len(scales), np.int8)),
        ]
        return helper.make_node("DequantizeLinear", inputs, [_restored(name)], _restored(name), axis=1)

    def slimmed(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """Have ``node`` read its large constants from float16, which runtimes widen once, at loading."""
        for index, name in enumerate(node.input):
            if not self.surgery.is_constant(name):
                continue
            value = self.surgery.value(name)
            if value.dtype != np.float32 or value.size <= _LARGE:
                continue
            node.input[index] = f"{name}.wide"
            if name not in self.widened:
                self.widened.add(name)
                half = self.surgery.set(f"{name}.half", value.astype(np.float16))
                yield cast(half, TensorProto.FLOAT, f"{name}.wide")


def weight_scales(weights: Weights) -> Scales:
    """One scale an output channel, as small as it may be without overflow in any kernel.

    CPUs without VNNI multiply unsigned activations by signed weights and add neighbouring products in 16
    bits, saturating (``vpmaddubsw``). With activations up to 255 two neighbours must not exceed 32767 / 255
    in sum where they have the same sign, or the kernel silently clips: scales are raised just so far that
    this cannot happen, a fifth or so, instead of giving up a whole bit of all weights.
    """
    largest = np.abs(weights).max(axis=0) / _STEPS
    even = weights[: len(weights) // 2 * 2].reshape(-1, 2, weights.shape[1])
    sums = [np.maximum(sign * even, 0).sum(axis=1).max(axis=0, initial=0) for sign in (1, -1)]
    # rounding may add half a step to each of the two
    pairs = np.maximum(*sums) / (_PAIR_SUM - 1)
    scales: Scales = np.maximum(np.maximum(largest, pairs), _SMALLEST).astype(np.float32)
    return scales


def _restored(name: str) -> str:
    return f"{name}.restored"
