"""A plan without weights, and those that the ONNX file beside it does not have.

The weights of a stripped plan are put back by their names from the ONNX file that it was built from. Where
``crossiqa_edge.export`` gives the builder another graph than the file's, such as an int8 one with its scales
in float16, the plan has constants of that graph alone. They are kept behind the plan, as an ONNX model with
nothing but these constants; for two models in the wire format of protobuf, one after the other, are the model
with the constants of both: https://protobuf.dev/programming-guides/encoding/#last-one-wins. So they are put
together here without the package ``onnx``, which a machine that runs engines may lack.

    plan | ONNX model of the constants beside it (may be empty) | its length (uint64, little-endian) | magic
"""

from __future__ import annotations

from crossiqa_edge.errors import ArtefactError

MAGIC = b"CIQAWTS1"
_LENGTH_BYTES = 8
_TRAILER_BYTES = _LENGTH_BYTES + len(MAGIC)


def join(plan: bytes, constants: bytes) -> bytes:
    """What an engine file holds of a stripped ``plan``, with ``constants`` that its ONNX file has not."""
    return plan + constants + len(constants).to_bytes(_LENGTH_BYTES, "little") + MAGIC


def part(data: bytes, where: str) -> tuple[bytes, bytes]:
    """The plan and the constants that ``join`` put together; ``where`` names them in the error message.

    Raises:
        ArtefactError: they were not put together.
    """
    length = int.from_bytes(data[-_TRAILER_BYTES : -len(MAGIC)], "little")
    start = len(data) - _TRAILER_BYTES - length
    if not data.endswith(MAGIC) or start < 0:
        raise ArtefactError(f"{where}: a plan without weights of an earlier version; build it again")
    return data[:start], data[start : len(data) - _TRAILER_BYTES]


def refit_model(graph: bytes, constants: bytes) -> bytes:
    """The ONNX file ``graph`` with ``constants`` among its own."""
    return graph + constants
