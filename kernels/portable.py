"""An accelerated model where the operators do not exist: spelt out in torch's own, for instance for ONNX."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.export import ExportedProgram

from crossiqa_edge.kernels.attention import attention_reference
from crossiqa_edge.kernels.layer_norm import layer_norm_reference
from crossiqa_edge.kernels.linear import linear_reference


def spelt_out(program: ExportedProgram) -> ExportedProgram:
    """``torch.export``'s program of an accelerated model, its fused operators replaced by their references.

    What ``torch.onnx.export`` takes: it knows no operators of ours. Inference only.
    """
    operators = torch.ops.crossiqa
    spelt: ExportedProgram = program.run_decompositions(
        {
            operators.attention.default: _attention,
            operators.layer_norm.default: _layer_norm,
            operators.linear.default: linear_reference,
        }
    )
    return spelt


def _attention(qkv: Tensor, mask: Tensor | None, scale: float, save_sums: bool) -> tuple[Tensor, Tensor]:
    out, sums = attention_reference(qkv, mask, scale)
    return out, sums if save_sums else sums.new_empty(0)


def _layer_norm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    return layer_norm_reference(x, weight, bias, epsilon)[0]
