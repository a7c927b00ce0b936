"""Which tile a kernel takes: pure functions of the GPU's architecture, the sizes and the type. No autotuning.

A choice that is a function can be tested without a GPU, compiled ahead of time, and is the same at every
start. The numbers come from counting registers and shared memory in the compiled code; whoever measures
better ones on a GPU changes them here.
"""

from __future__ import annotations

from dataclasses import dataclass

WHOLE_ROW = 256  # most tokens whose scores a program holds in registers all at once
SMALLEST_DOT = 16  # least side that a matrix product may have on tensor cores


def power_of_two(count: int) -> int:
    """The least power of two that is at least ``count``."""
    return 1 << max(0, count - 1).bit_length()


@dataclass(frozen=True, slots=True)
class AttentionTile:
    """How attention is cut.

    Attributes:
        queries: query rows a program holds.
        keys: keys that one step of the loop takes, 0 where there is no loop.
        tail: keys that are taken after the loop, masked: a power of two, 0 where ``keys`` divides the tokens.
        warps, stages: of 32 threads, and of the loop's software pipeline.
    """

    queries: int
    keys: int
    tail: int
    warps: int
    stages: int


def attention_tile(architecture: int, tokens: int, head_dim: int, dtype: str) -> AttentionTile:
    """The tile of forward attention over ``tokens`` tokens; ``dtype`` is fp16, bf16 or fp32."""
    raise NotImplementedError
