"""What must be known of an ONNX file before any runtime may have it, read without the onnx package.

An ONNX file from a stranger can name other files ("external data") that the loader would read, and can
call operators that nobody here knows. So the protobuf is walked first, with bounds on everything:
messages are visited from an explicit stack, and tensors are skipped, never unpacked. Field numbers are
those of ``onnx.proto3`` (IR version 10 and later), the wire format is that of protobuf's encoding guide.

A file's bytes lead nowhere else, in its own folder neither: external data is refused whatever it names, so no
link there is ever followed. The file that a user names may itself be a link (see ``Artefact.open``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.runtime.onnx_rules import MAX_RANK, GraphRules, RefusedError
from crossiqa_edge.runtime.operators import ALLOWED

MAX_BYTES = 1 << 30
MAX_FIELDS = 500_000  # our largest graph has a tenth of it; a walk this long takes under a second
MAX_DEPTH = 24
MAX_OPSET = 1000  # OpenVINO counts down from the version to one that it knows

UINT8 = 2
FLOAT = 1

Dim = int | str | None  # fixed, named, unknown
Value = int | tuple[int, int]  # of a number, or the (start, end) of bytes

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Messages to descend into: kind of message -> field number -> kind of the message in that field.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "opset", 14: "entry", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 11: "input", 12: "output", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "function": {7: "node", 9: "opset", 11: "attribute"},
    "training": {1: "graph", 2: "graph"},
    "tensor": {},
    "opset": {},
    "entry": {},
    "input": {},
    "output": {},
}


@dataclass(frozen=True)
class Port:
    """An input or output of the graph: name, element type (``onnx.TensorProto.DataType``), dimensions."""

    name: str
    kind: int
    dims: tuple[Dim, ...]


@dataclass
class OnnxFile:
    """The facts of a file that passed: what the graph takes and gives, and what was written beside it."""

    metadata: dict[str, str] = field(default_factory=dict)
    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    opsets: dict[str, int] = field(default_factory=dict)
    operators: set[tuple[str, str]] = field(default_factory=set)

    @property
    def opset(self) -> int:
        """Version of the standard operator set, 0 where the file imports none."""
        return self.opsets.get("", 0)


def read_onnx(data: bytes, where: str = "ONNX file") -> OnnxFile:
    """Walk the ``ModelProto`` in ``data``; ``where`` names it in error messages.

    Raises:
        ArtefactError: not an ONNX file, damaged, too large or too deep; or it refers to other files or to
            operators that are not ``operators.ALLOWED``, gives an operator fewer inputs than it needs, is
            not in order, or asks for far more nodes or memory than its own size.
    """
    if len(data) > MAX_BYTES:
        raise ArtefactError(f"{where}: larger than {MAX_BYTES >> 20} MiB; this is not one of our models")
    try:
        return _Walk(data).run()
    except RefusedError as reason:
        raise ArtefactError(f"{where}: {reason}") from None
    except _DamagedError as reason:
        raise ArtefactError(f"{where}: not a sound ONNX file ({reason}); get the file again") from None


class _DamagedError(Exception):
    """The bytes are not the protobuf they should be."""


class _Walk:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.budget = MAX_FIELDS
        self.found = OnnxFile()
        self.graphs = 0
        self.rules = GraphRules()

    def run(self) -> OnnxFile:
        pending = [("model", 0, len(self.data), 0, 0)]
        while pending:
            kind, start, end, depth, parent = pending.pop()
            if depth > MAX_DEPTH:
                raise _DamagedError("nested too deeply")
            children = _CHILDREN[kind]
            own: list[tuple[int, Value]] = []
            for number, value in self.fields(start, end):
                own.append((number, value))
                if number in children:
                    pending.append((children[number], *_span(value), depth + 1, start))
                    self.graphs += kind == "model" and number == 7
            if kind == "node":
                self.node(own, parent)
            elif kind == "tensor":
                self.tensor(own)
            else:
                self.visit(kind, dict(own), depth)
        if self.graphs != 1:
            raise _DamagedError(f"{self.graphs} graphs instead of one")
        self.rules.check()
        self.found.operators = self.rules.operators
        self.found.inputs.reverse()  # the stack gave siblings back to front
        self.found.outputs.reverse()
        return self.found

    def visit(self, kind: str, own: dict[int, Value], depth: int) -> None:
        """Take what a message says itself; ``own`` holds the last value of each of its fields."""
        if kind == "entry":
            self.found.metadata[self.text(own.get(1))] = self.text(own.get(2))
        elif kind == "opset":
            version = own.get(2, 0)
            if not isinstance(version, int) or version > MAX_OPSET:
                raise _DamagedError("an opset that there will never be")
            self.found.opsets[self.domain(own.get(1))] = version
        elif kind == "function":
            self.rules.function(self.domain(own.get(10)))
        elif kind in ("input", "output") and depth == 2:  # of the main graph, not of a subgraph
            ports = self.found.inputs if kind == "input" else self.found.outputs
            ports.append(self.port(own))

    def node(self, fields: list[tuple[int, Value]], parent: int) -> None:
        own = dict(fields)
        operator = (self.domain(own.get(7)), self.text(own.get(4)))
        inputs = [self.text(value) for number, value in fields if number == 1]
        outputs = [self.text(value) for number, value in fields if number == 2]
        self.rules.node(parent, operator, inputs, outputs)
        if operator == ("", "Constant"):
            for span in [_span(value) for number, value in fields if number == 5]:
                attribute = list(self.fields(*span))
                for number, value in attribute:
                    if number == 5:  # a tensor
                        self.constant(outputs, list(self.fields(*_span(value))))
                # Or a list of integers in field 8, which a tensor has in field 7.
                self.constant(outputs, [(7, value) for number, value in attribute if number == 8])

    def tensor(self, fields: list[tuple[int, Value]]) -> None:
        for number, value in fields:
            _refuse_external(number, value)
        dims = [dim for number, value in fields if number == 1 for dim in self.varints(value)]
        if len(dims) > MAX_RANK or any(dim < 0 for dim in dims):
            raise _DamagedError("a tensor of impossible dimensions")
        self.constant([self.text(dict(fields).get(8))], fields)

    def constant(self, names: list[str], tensor: list[tuple[int, Value]]) -> None:
        numbers = self.numbers(tensor)
        for name in names:
            self.rules.constant(name, numbers)

    def numbers(self, tensor: list[tuple[int, Value]]) -> list[int]:
        """Those of an int64 tensor that may be a shape; of other tensors whatever, as they are none."""
        found: list[int] = []
        for number, value in tensor:
            if number == 7:  # int64_data
                found += self.varints(value)
            elif number == 9 and not isinstance(value, int) and value[1] - value[0] <= 8 * MAX_RANK:
                raw = self.data[slice(*value)]
                found += [
                    int.from_bytes(raw[at : at + 8], "little", signed=True) for at in range(0, len(raw), 8)
                ]
        return found

    def varints(self, value: Value) -> list[int]:
        """The int64 of a repeated field, alone or packed into bytes; of these little more than a shape."""
        if isinstance(value, int):
            return [_signed(value)]
        at, end = value
        found: list[int] = []
        while at < end and len(found) <= MAX_RANK:
            number, at = self.varint(at, end)
            found.append(_signed(number))
        return found

    def port(self, own: dict[int, Value]) -> Port:
        """ValueInfo -> TypeProto -> Tensor -> Shape -> Dim: five small messages inside one another."""
        tensor = self.inner(self.inner(own, 2), 1)
        kind = tensor.get(1, 0)
        dims: list[Dim] = []
        if 2 in tensor:
            for number, value in self.fields(*_span(tensor[2])):
                if number == 1:
                    dims.append(self.dim(dict(self.fields(*_span(value)))))
        return Port(self.text(own.get(1)), kind if isinstance(kind, int) else 0, tuple(dims))

    def dim(self, own: dict[int, Value]) -> Dim:
        fixed = own.get(1)
        if isinstance(fixed, int):
            return fixed
        return self.text(own[2]) if 2 in own else None

    def inner(self, own: dict[int, Value], number: int) -> dict[int, Value]:
        return dict(self.fields(*_span(own[number]))) if number in own else {}

    def domain(self, value: Value | None) -> str:
        name = self.text(value)
        name = "" if name == "ai.onnx" else name
        if name not in ALLOWED:
            raise RefusedError(f"unknown operator domain {name[:60]!r}; only standard operators are run")
        return name

    def text(self, value: Value | None) -> str:
        if value is None:
            return ""
        start, end = _span(value)
        try:
            return self.data[start:end].decode()
        except UnicodeDecodeError:
            raise _DamagedError(f"broken text at byte {start}") from None

    def fields(self, start: int, end: int) -> Iterator[tuple[int, Value]]:
        """(number, value) of each field of the message in ``data[start:end]``."""
        at = start
        while at < end:
            self.budget -= 1
            if self.budget < 0:
                raise _DamagedError(f"more than {MAX_FIELDS} fields")
            tag, at = self.varint(at, end)
            number, wire = tag >> 3, tag & 7
            value: Value
            if wire == _VARINT:
                value, at = self.varint(at, end)
            elif wire == _BYTES:
                length, at = self.varint(at, end)
                value, at = (at, at + length), at + length
            elif wire in (_FIXED32, _FIXED64):
                width = 4 if wire == _FIXED32 else 8
                value, at = int.from_bytes(self.data[at : at + width], "little"), at + width
            else:
                raise _DamagedError(f"wire type {wire} at byte {at}")
            if not 0 < number < 1 << 29 or at > end:
                raise _DamagedError(f"field {number} runs past its end at byte {min(at, end)}")
            yield number, value

    def varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while at < end and shift < 70:
            byte = self.data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & (1 << 64) - 1, at
            shift += 7
        raise _DamagedError(f"endless number at byte {at}")


def _refuse_external(number: int, value: Value) -> None:
    """TensorProto keeps external_data in field 13 and data_location (0: in this file) in field 14."""
    if number == 13 or (number == 14 and value != 0):
        raise RefusedError("its tensors lie in other files, which is refused; export it as a single file")


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _span(value: Value) -> tuple[int, int]:
    if isinstance(value, int):
        raise _DamagedError("a number where a message or a text belongs")
    return value
