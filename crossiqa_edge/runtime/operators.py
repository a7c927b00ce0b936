"""The operators that a model of ours may have; a graph with any other is refused before a runtime sees it.

The list is what ``crossiqa_edge.export`` writes in any precision and opset, what torch makes of the same
network, and what onnxruntime fuses these to. Control flow, strings, random numbers, sequences,
optional values and operators that read files or decode pictures are not in it, nor are those whose output
is as large as a few numbers in the file say (ConstantOfShape, Pad, Range, Tile). Expand is such a one too,
but every model of ours gives each view its class token by it: ``onnx_rules`` bounds the numbers it is given.

With each operator stands the least number of inputs that it must be given, since a runtime may take their
presence for granted: OpenVINO reads the first input of a ``Max`` without any, and the process is gone. The
numbers are those of the schemas in force since opset 13, which a test compares.
"""

from __future__ import annotations

_STANDARD = {  # least number of inputs -> operators
    0: "Constant",
    1: """Abs Cast Clip Concat DepthToSpace DynamicQuantizeLinear Erf Exp Flatten Gelu GlobalAveragePool
        Identity Log Max Min Neg Not Reciprocal ReduceMax ReduceMean ReduceSum Relu Shape Sigmoid Sign Softmax
        Softplus SpaceToDepth Split Sqrt Squeeze Tanh Transpose""",
    2: """Add And CastLike Conv DequantizeLinear Div Equal Expand Gather Gemm Greater LayerNormalization Less
        MatMul MatMulInteger Mul Or Pow QuantizeLinear Reshape Sub Unsqueeze""",
    3: "Attention Slice Where",
    8: "QLinearMatMul",
}
_FUSED = {  # onnxruntime's own
    1: "FastGelu Gelu MultiHeadAttention QuickGelu",
    2: "BiasGelu DequantizeLinear FusedGemm FusedMatMul QuantizeLinear",
    3: "Attention DynamicQuantizeMatMul SkipLayerNormalization",
    4: "MatMulIntegerToFloat",
    5: "QAttention",
    6: "QGemm",
}


def _by_name(groups: dict[int, str]) -> dict[str, int]:
    return {name: least for least, names in groups.items() for name in names.split()}


# Standard operators that take any number of inputs, each of which must be given.
VARIADIC = frozenset({"Concat", "Max", "Min"})

# Domain -> operator -> least number of inputs. The schema of onnxruntime's Attention calls the third, the
# bias, optional, but OpenVINO reads it without asking.
ALLOWED: dict[str, dict[str, int]] = {
    "": _by_name(_STANDARD),
    "com.microsoft": _by_name(_FUSED),
    "crossiqa": {"FusedAttention": 1},
}
