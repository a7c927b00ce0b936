"""How the persistent kernel is cut: a pure function of the architecture, the sizes and the type.

As in ``attention_tiles.py`` the numbers come from compiled code, and nothing was timed.
"""

from __future__ import annotations

from dataclasses import dataclass

from crossiqa_edge.kernels.attention_tiles import AttentionTile, cut, whole_rows
from crossiqa_edge.kernels.tiles import ELEMENT_BYTES, SMALLEST_DOT, power_of_two

_AMPERE = 80
_FAMILY_HEADS = (32, 64)  # elements of a head
_CHUNK = 256  # elements of a row that LayerNorm reads at once


@dataclass(frozen=True, slots=True)
class PersistentTile:
    """``rows`` x ``columns`` of each linear layer's output, ``depth`` of its sum a step; and of attention.

    LayerNorm reads ``chunk`` elements of its rows at once.
    """

    rows: int
    columns: int
    depth: int
    chunk: int
    warps: int
    stages: int
    attention: AttentionTile


def persistent_tile(architecture: int, tokens: int, width: int, head_dim: int, dtype: str) -> PersistentTile:
    """The tile of ``encoder_kernel``; ``dtype`` is fp16, bf16, fp32, or tf32 where float32 is multiplied so.

    Small: at 197 tokens there are tiles for every multiprocessor. Nothing grows with the encoder's width, so
    none is too wide. A step takes 128 bytes of each row of a weight. On ordinary cores (Turing, float32),
    which have the operands of a product in registers, it takes 32 elements, and attention 16 keys at a time
    instead of all; 32 with TF32, and with heads of another size than the family's, where all would spill.
    """
    chunk = min(power_of_two(width), _CHUNK)
    if architecture < _AMPERE or dtype == "fp32":
        keys = cut(tokens, SMALLEST_DOT, SMALLEST_DOT, warps=8, stages=1)
        return PersistentTile(SMALLEST_DOT, 32, 32, chunk, 8, 1 if architecture < _AMPERE else 2, keys)
    if dtype != "tf32" and head_dim in _FAMILY_HEADS:
        keys = whole_rows(tokens, SMALLEST_DOT, warps=4)
    else:
        keys = cut(tokens, SMALLEST_DOT, 32, warps=4, stages=1)
    stages = 2 if dtype == "tf32" else 4  # more have code beyond 128 KiB at the size of small
    return PersistentTile(SMALLEST_DOT, 32, 128 // ELEMENT_BYTES[dtype], chunk, 4, stages, keys)
