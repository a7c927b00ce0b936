"""The operators that a model of ours may have; a graph with any other is refused before a runtime sees it.

The list is what ``crossiqa_edge.export`` writes in any precision and opset, what torch makes of the same
network, and what onnxruntime fuses these to. Control flow, strings, random numbers, sequences,
optional values and operators that read files or decode pictures are not in it.
"""

from __future__ import annotations

_ARITHMETIC = {
    *("Abs", "Add", "Clip", "Div", "Erf", "Exp", "Gelu", "Gemm", "Log", "MatMul", "Max", "Min", "Mul", "Neg"),
    *("Pow", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceSum", "Relu", "Sigmoid", "Sign", "Softmax"),
    *("Softplus", "Sqrt", "Sub", "Tanh", "Attention", "Conv", "LayerNormalization", "GlobalAveragePool"),
}
_SHAPES = {
    *("Cast", "CastLike", "Concat", "Constant", "ConstantOfShape", "Expand", "Flatten", "Gather", "Identity"),
    *(
        "Pad",
        "Range",
        "Reshape",
        "Shape",
        "Slice",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
        "Where",
    ),
    *("Equal", "Greater", "Less", "And", "Or", "Not", "DepthToSpace", "SpaceToDepth"),
}
_INTEGERS = {
    *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearMatMul"),
}
_FUSED = {  # onnxruntime's own
    *("Attention", "BiasGelu", "FastGelu", "FusedGemm", "FusedMatMul", "Gelu", "MultiHeadAttention"),
    *("SkipLayerNormalization", "QuantizeLinear", "DequantizeLinear", "MatMulIntegerToFloat", "QGemm"),
    *("DynamicQuantizeMatMul", "QAttention", "QuickGelu"),
}

ALLOWED: dict[str, frozenset[str]] = {
    "": frozenset(_ARITHMETIC | _SHAPES | _INTEGERS),
    "com.microsoft": frozenset(_FUSED),
    "crossiqa": frozenset({"FusedAttention"}),
}
