"""The constants of the graph that a plan was built of which the ONNX file of the artefact does not have."""

from __future__ import annotations

from crossiqa_edge.errors import MissingDependencyError

try:
    import onnx
except ImportError as error:
    raise MissingDependencyError("building for TensorRT", "export") from error


def constants_beside(graph: bytes, built: bytes) -> bytes:
    """An ONNX model of nothing but those constants of ``built``; no bytes where there are none.

    What rewrites a graph gives new values new names, so that none in ``graph`` is called like one of them.
    """
    if built == graph:
        return b""
    own = set(map(_content, onnx.load_model_from_string(graph).graph.initializer))
    rest = onnx.ModelProto()
    rest.graph.initializer.extend(
        constant
        for constant in onnx.load_model_from_string(built).graph.initializer
        if _content(constant) not in own
    )
    constants: bytes = rest.SerializeToString()
    return constants if rest.graph.initializer else b""


def _content(constant: onnx.TensorProto) -> bytes:
    """Name, type and values."""
    content: bytes = constant.SerializeToString()
    return content
