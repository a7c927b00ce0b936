"""What a builder says of the layers that it made, read back: proof that an int8 layer really is one.

Without a GPU a plan cannot be loaded and inspected, but with detailed verbosity the builder prints the
same lines into its log, one a layer: name, kind, and the type of every tensor that goes in and out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_LAYER = re.compile(r"^Name: (?P<name>[^,]+), LayerType: (?P<kind>\w+), Inputs: (?P<ports>.*)$", re.MULTILINE)
_TYPE = re.compile(r"(?:Datatype|Format/Datatype): (\w+)")
_NODE = re.compile(r"\[ONNX Layer: ([^\]]+)\]")

MATRIX_PRODUCT = "gemm"
_FUSED_ATTENTION = "_gemm_mha"


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a plan.

    Attributes:
        name: the builder's name of it.
        kind: ``gemm`` for a matrix product, ``attention`` for a fused one, else the builder's word,
            such as ``kgen`` for a generated element-wise kernel.
        inputs: type of every tensor that goes in, constants last, for instance ``("Int8", "Int8")``.
        outputs: type of every tensor that comes out.
        nodes: names of the ONNX nodes that it stands for.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[str, ...]

    @property
    def arithmetic(self) -> str:
        """Type of the first input: what the layer multiplies in."""
        return self.inputs[0] if self.inputs else "none"


def read_layers(log: Iterable[str]) -> list[Layer]:
    """Every layer that is described in the lines of a builder's ``log``, in order."""
    return [_layer(found) for message in log for found in _LAYER.finditer(message)]


def count(layers: Iterable[Layer]) -> Mapping[str, int]:
    """Number of layers by kind and arithmetic, for instance ``{"gemm Int8": 26, "attention Half": 6}``."""
    return dict(sorted(Counter(f"{layer.kind} {layer.arithmetic}" for layer in layers).items()))


def _layer(found: re.Match[str]) -> Layer:
    inputs, _, outputs = found["ports"].partition("Outputs: ")
    kind = "attention" if _FUSED_ATTENTION in found["name"] else found["kind"]
    return Layer(
        name=found["name"],
        kind=kind,
        inputs=tuple(_TYPE.findall(inputs)),
        outputs=tuple(_TYPE.findall(outputs)),
        nodes=tuple(_NODE.findall(outputs)),
    )
