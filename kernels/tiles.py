"""Which tile a kernel takes: pure functions of the architecture, the sizes and the type. No autotuning.

Attention has its own, in ``attention_tiles.py``.

A choice that is a function can be tested without a GPU, compiled ahead of time, and is the same at every
start. The numbers come from counting registers and shared memory in the compiled code; whoever measures
better ones on a GPU changes them here.
"""

from __future__ import annotations

from dataclasses import dataclass

from crossiqa_edge.kernels.targets import target_of

SMALLEST_DOT = 16  # least side that a matrix product may have on tensor cores
BUSY = 96  # programs that occupy most of a large GPU: an A100 has 108 multiprocessors, an H100 132
ELEMENT_BYTES = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "int8": 1}


def power_of_two(count: int) -> int:
    """The least power of two that is at least ``count``."""
    return 1 << max(0, count - 1).bit_length()


@dataclass(frozen=True, slots=True)
class RowTile:
    """Whole rows: ``rows`` of them, padded to ``width`` elements, by ``warps`` warps."""

    rows: int
    width: int
    warps: int


def row_tile(rows: int, width: int) -> RowTile:
    """For kernels that hold whole rows in registers: LayerNorm and the head.

    A thread takes 8 neighbouring elements, 16 bytes of fp16, in one load. Several rows share a program
    only where there are so many that the GPU is busy all the same: parameters are then read less often.
    """
    padded = power_of_two(width)
    together = 1
    while together * padded < 2048 and rows >= 16 * BUSY * together:
        together *= 2
    return RowTile(together, padded, min(max(together * padded // 256, 1), 8))


@dataclass(frozen=True, slots=True)
class LinearTile:
    """``rows`` x ``columns`` of the output, ``depth`` of the sum a step, by ``warps`` in ``stages``."""

    rows: int
    columns: int
    depth: int
    warps: int
    stages: int


# (rows, columns, warps), largest first. Triton multiplies on Turing without its tensor cores, and float32
# everywhere, in three products each; the operands lie in registers: larger tiles spill there.
_LINEAR_TILES = ((128, 128, 8), (128, 64, 4), (64, 64, 4), (32, 64, 4), (32, 32, 4), (16, 32, 2))
_ORDINARY_TILES = ((64, 64, 8), (32, 32, 4))


def linear_tile(
    architecture: int, rows: int, columns: int, depth: int, dtype: str, weight_dtype: str | None = None
) -> LinearTile:
    """The largest tile that still makes BUSY programs: the larger, the more products for each byte read.

    ``dtype`` is that of the input as it lies in memory, ``tf32`` where float32 is multiplied as such;
    ``weight_dtype`` that of the weight where it differs.
    A step of the sum takes 128 bytes of each row of the weight, one transaction of the memory. On ordinary
    cores it takes 64 bytes of what is multiplied, where int8 has become fp16: more spills. The pipeline is as
    deep as shared memory allows, at most 4.
    """
    turing = architecture < 80
    ordinary = turing or (weight_dtype or dtype) == "fp32"
    tiles = _ORDINARY_TILES if ordinary else _LINEAR_TILES
    small = [tile for tile in tiles if tile[0] < 2 * rows and tile[1] < 2 * columns] or [tiles[-1]]
    block_rows, block_columns, warps = next(
        (tile for tile in small if -(-rows // tile[0]) * -(-columns // tile[1]) >= BUSY), small[-1]
    )
    size, weight_size = ELEMENT_BYTES[dtype], ELEMENT_BYTES[weight_dtype or dtype]
    least = 2 * SMALLEST_DOT if weight_size == 1 else SMALLEST_DOT
    whole_line = 64 // max(weight_size, 2) if ordinary else 128 // weight_size
    step = min(whole_line, max(power_of_two(depth), least))
    stage = (block_rows * size + block_columns * weight_size) * step
    stages = 1 if turing else max(1, min(4, target_of(architecture).shared_limit // stage))
    return LinearTile(block_rows, block_columns, step, warps, stages)


@dataclass(frozen=True, slots=True)
class EmbedTile:
    """``patches`` x ``columns`` of the tokens, by ``warps``.

    With levels, ``groups`` of a patch pass the inner ones at a time; without, ``depth`` of the sum is a step.
    """

    patches: int
    columns: int
    groups: int
    depth: int
    warps: int
    stages: int


def embed_tile(architecture: int, patches: int, columns: int, dtype: str) -> EmbedTile:
    """Few patches are spread over many programs, which repeat the inner levels; many fill wider ones.

    ``patches`` counts those of all views. 16 of them are the least that tensor cores take. Products without
    tensor cores (float32, Turing) hold their operands in registers, so that less of a patch fits.
    """
    if architecture < 80 or dtype == "fp32":
        return EmbedTile(SMALLEST_DOT, 32, 1, 32, 4, 1 if architecture < 80 else 2)
    rows = -(-patches // SMALLEST_DOT)
    for block in (128, 64):
        if columns > block // 2 and rows * -(-columns // block) >= BUSY:
            return EmbedTile(SMALLEST_DOT, block, 2, 64, 4, 2)
    return EmbedTile(SMALLEST_DOT, 32, 4, 64, 8, 2)  # fewer steps, each with more reads in flight
