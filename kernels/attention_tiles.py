"""How attention is cut into tiles: pure functions of the architecture, the sizes and the type. No autotuning.

A choice that is a function can be tested without a GPU, compiled ahead of time, and is the same at every
start. These come from counting in the compiled code: no register spills (but see docs/kernels.md), the fewest
instructions among what does not spill, two programs or more on a multiprocessor. Nothing here has been timed;
whoever measures better tiles on a GPU changes them here.

The forward pass takes whole rows of up to WHOLE_ROW tokens at once where tensor cores multiply and a head has
at most 64 elements. Where they do not (Turing, float32), both operands of a product lie in registers, and at
128 elements a head so does twice the output: there rows are taken in steps at any length but the shortest,
and at 128 elements a head Turing sums products of 16 bits slice by slice.
"""

from __future__ import annotations

from dataclasses import dataclass

WHOLE_ROW = 256  # most tokens whose keys and values are taken all at once
_SMALLEST, _LARGEST = 16, 128  # sides of the tiles of keys that are taken at once
_AMPERE, _HOPPER, _BLACKWELL, _CONSUMER_BLACKWELL = 80, 90, 100, 120


@dataclass(frozen=True, slots=True)
class AttentionTile:
    """How one kernel of attention is cut.

    A program holds a block of rows (queries, or keys for the gradients of keys and values) and walks
    along the other side: ``step`` rows at a time, then the rest at once.

    Attributes:
        block: rows that a program holds.
        step: rows that one turn of the loop takes; 0 where there is no loop and all rows are taken at once.
        rest: sizes of the tiles after the loop, powers of two, of which the last may reach beyond the last
            token; empty where ``step`` divides the tokens.
        warps, stages: of 32 threads, and of the loop's software pipeline.
        sliced: whether products along the head's elements are summed slice by slice (``slices.py``).
    """

    block: int
    step: int
    rest: tuple[int, ...]
    warps: int
    stages: int
    sliced: bool = False


def forward_tile(architecture: int, tokens: int, head_dim: int, dtype: str) -> AttentionTile:
    """The tile of ``attention_kernel``; ``dtype`` is fp16, bf16 or fp32."""
    if architecture < _AMPERE or dtype == "fp32":  # products on ordinary cores, operands in registers
        block, step = {16: (32, 32), 32: (32, 32), 64: (16, 32), 128: (16, 16)}[head_dim]
        stages = 2 if architecture >= _AMPERE else 1
        return cut(tokens, block, step, warps=8, stages=stages, sliced=head_dim == 128 and dtype != "fp32")
    if head_dim == 128:
        return cut(tokens, 64 if _multiplies_from_memory(architecture) else 32, 32, warps=4, stages=2)
    if tokens > WHOLE_ROW:
        return cut(tokens, 64, 64, warps=4, stages=3)
    # 64 rows of scores take half of the registers of 4 warps. wgmma and tcgen05 want them; with mma.sync
    # 64 rows of 64 elements a head spill from 209 tokens on.
    roomy = head_dim <= 32 or tokens <= _LARGEST or _multiplies_from_memory(architecture)
    return whole_rows(tokens, 64 if roomy else 32, warps=4)


def int8_tile(architecture: int, tokens: int, head_dim: int) -> AttentionTile:
    """The tile of ``attention_kernel`` with INT8, for D of 32, 64 or 128; on Turing it multiplies fp16."""
    if architecture < _AMPERE:
        return forward_tile(architecture, tokens, head_dim, "fp16")
    if head_dim == 128:
        return cut(tokens, 32, 32, warps=4, stages=2)
    if tokens > WHOLE_ROW:
        return cut(tokens, 64, 64, warps=4, stages=2)
    return whole_rows(tokens, 32 if head_dim == 64 and tokens > _LARGEST else 64, warps=4)


def backward_tile(architecture: int, tokens: int, head_dim: int, dtype: str) -> AttentionTile:
    """The tile of both backward kernels, which hold four tiles where the forward pass holds two.

    float32 is computed in pairs, one product after the other: no pipeline would help. In 16 bits Turing takes
    products of 128 elements slice by slice.
    """
    if dtype == "fp32":
        return cut(tokens, _rows_in_pairs(architecture, head_dim), 16, warps=8, stages=1)
    if architecture < _AMPERE:
        side = 32 if head_dim == 16 else 16
        return cut(tokens, side, side, warps=8, stages=1, sliced=head_dim == 128)
    if head_dim == 128:
        block, warps = (64, 8) if _multiplies_from_memory(architecture) else (16, 4)
        return cut(tokens, block, 16, warps, stages=2)
    tight = head_dim == 64 and architecture >= _CONSUMER_BLACKWELL
    return cut(tokens, 64, 16 if tight else 32, warps=4, stages=2)


def _rows_in_pairs(architecture: int, head_dim: int) -> int:
    """Rows that a gradient in pairs of float32 takes at once: as many as were seen to spill nothing."""
    if head_dim == 128:
        return 8 if architecture < _BLACKWELL else 2
    return 8 if head_dim >= 32 and _BLACKWELL <= architecture < _CONSUMER_BLACKWELL else 16


def _multiplies_from_memory(architecture: int) -> bool:
    """Whether 64 rows are multiplied by wgmma or tcgen05, which read operands from shared memory.

    mma.sync, which all others have, takes them from registers.
    """
    return _HOPPER <= architecture < _CONSUMER_BLACKWELL


def cut(tokens: int, block: int, step: int, warps: int, stages: int, sliced: bool = False) -> AttentionTile:
    """The tile with these sizes over ``tokens`` tokens; where they are fewer than ``step``, all at once."""
    if tokens < step:
        return whole_rows(tokens, block, warps, sliced)
    return AttentionTile(block, step, _pieces(tokens % step), warps, stages, sliced)


def whole_rows(tokens: int, block: int, warps: int, sliced: bool = False) -> AttentionTile:
    """The tile that takes all of ``tokens`` tokens at once, for ``block`` rows."""
    return AttentionTile(block, 0, _pieces(tokens), warps, stages=1, sliced=sliced)


def _pieces(rows: int) -> tuple[int, ...]:
    """Sizes of tiles that hold ``rows``, as binary digits do: at most 15 rows are padding."""
    sizes: list[int] = []
    left = -(-rows // _SMALLEST) * _SMALLEST
    while left:
        sizes.append(min(_LARGEST, 1 << (left.bit_length() - 1)))
        left -= sizes[-1]
    return tuple(sizes)
