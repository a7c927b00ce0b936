"""How attention is cut into tiles: pure functions of the architecture, the sizes and the type. No autotuning.

A choice that is a function can be tested without a GPU, compiled ahead of time, and is the same at every
start. These come from counting in the compiled code: no register spills on any target, the fewest
instructions among what does not spill, two programs or more on a multiprocessor. Nothing here has been
timed; whoever measures better tiles on a GPU changes them here.
"""

from __future__ import annotations

from dataclasses import dataclass

from crossiqa_edge.errors import ConfigError

# Most tokens whose keys and values are taken all at once. At 197 tokens of 64 elements the steps execute 28 %
# fewer instructions than whole rows (sm_80): 3 x 64 + 16 keys against a power of two, 256, that also spills.
WHOLE_ROW = 128
_SMALLEST = 16  # least side of a matrix product on tensor cores
_AMPERE, _HOPPER, _CONSUMER_BLACKWELL = 80, 90, 120


@dataclass(frozen=True, slots=True)
class AttentionTile:
    """How one kernel of attention is cut.

    A program holds a block of rows (queries, or keys for the gradients of keys and values) and walks
    along the other side: ``step`` rows at a time, then the rest at once.

    Attributes:
        block: rows that a program holds.
        step: rows that one turn of the loop takes; 0 where there is no loop and all rows are taken at once.
        rest: size of the masked tile after the loop, a power of two; 0 where ``step`` divides the tokens.
        warps, stages: of 32 threads, and of the loop's software pipeline.
    """

    block: int
    step: int
    rest: int
    warps: int
    stages: int


def forward_tile(architecture: int, tokens: int, head_dim: int, dtype: str) -> AttentionTile:
    """The tile of ``attention_kernel``; ``dtype`` is fp16, bf16 or fp32."""
    if architecture < _AMPERE or dtype == "fp32":  # products on ordinary cores, operands in registers
        block, step = {16: (32, 32), 32: (32, 32), 64: (16, 32), 128: (16, 16)}[head_dim]
        return cut(tokens, block, step, warps=8, stages=2 if architecture >= _AMPERE else 1)
    if head_dim == 128:
        block, warps = (64, 4) if architecture >= _HOPPER else (32, 4)
        return cut(tokens, block, 32, warps, stages=2)
    return cut(tokens, 64, 64 if tokens > WHOLE_ROW else WHOLE_ROW + 1, warps=4, stages=3)


def int8_tile(architecture: int, tokens: int, head_dim: int) -> AttentionTile:
    """The tile of ``attention_int8_kernel``; ConfigError for Turing, where Triton has no int8 products."""
    if architecture < _AMPERE:
        raise ConfigError(
            f"int8 attention needs sm_{_AMPERE} or newer, not sm_{architecture}; use fp16 there"
        )
    if head_dim == 128:
        return cut(tokens, 32, 32, warps=4, stages=2)
    return cut(tokens, 64, 64 if tokens > WHOLE_ROW else WHOLE_ROW + 1, warps=4, stages=2)


def backward_tile(architecture: int, tokens: int, head_dim: int, dtype: str) -> AttentionTile:
    """The tile of both backward kernels, which hold four tiles where the forward pass holds two."""
    if architecture < _AMPERE or dtype == "fp32":
        block, step = {16: (32, 32), 32: (32, 32), 64: (32, 16), 128: (16, 16)}[head_dim]
        return cut(tokens, block, step, warps=8, stages=2 if architecture >= _AMPERE else 1)
    tight = head_dim == 128 or (head_dim == 64 and architecture >= _CONSUMER_BLACKWELL)
    return cut(tokens, 32 if head_dim == 128 else 64, 16 if tight else 32, warps=4, stages=2)


def cut(tokens: int, block: int, step: int, warps: int, stages: int) -> AttentionTile:
    """The tile with these sizes over ``tokens`` tokens; where they are fewer than ``step``, all at once."""
    if tokens < step:
        return AttentionTile(block, 0, _padded(tokens), warps, stages=1)
    rest = tokens % step
    return AttentionTile(block, step, _padded(rest) if rest else 0, warps, stages)


def _padded(rows: int) -> int:
    """The least power of two that holds ``rows`` and that tensor cores take."""
    return max(_SMALLEST, 1 << (rows - 1).bit_length())
