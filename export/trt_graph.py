"""An artefact's graph as TensorRT computes it best: in an int8 graph, what is not int8 in float16.

On a CPU the rest of an int8 graph is float32. On a GPU that would make attention slower than in a
float16 graph, and TensorRT for RTX has no float32 matrix product on Turing at all. The quantised layers
keep their scales and integers; only the type between them changes.
"""

from __future__ import annotations

from crossiqa_edge.errors import MissingDependencyError

try:
    import onnx

    from crossiqa_edge.export.half import to_half
    from crossiqa_edge.export.surgery import Surgery, check_sound
except ImportError as error:
    raise MissingDependencyError("building for TensorRT", "export") from error

# The first opset in which scales may be float16, and the file format for it. By its documentation TensorRT's
# parser takes opsets up to 20 from 10.0 on.
_OPSET, _IR_VERSION = 19, 9


def for_tensorrt(data: bytes, where: str = "ONNX file") -> bytes:
    """The ONNX file ``data``, an artefact's, with card and all metadata; only int8 graphs change.

    Raises:
        ArtefactError: its first linear layer is none as ``graph`` writes it, or it breaks ONNX's rules;
            ``where`` names the file.
    """
    model = onnx.load_model_from_string(data)
    if not any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        return data
    (standard,) = (item for item in model.opset_import if item.domain == "")
    standard.version = max(standard.version, _OPSET)
    model.ir_version = max(model.ir_version, _IR_VERSION)
    halved = to_half(Surgery(model, where))
    check_sound(halved, where)
    rewritten: bytes = halved.SerializeToString()
    return rewritten
