"""How a kernel describes one compiled form of itself, so that it can be built ahead of time.

A kernel's file offers ``specs(workload) -> Iterator[KernelSpec]``: every form of it that a model needs at
that workload, with the tile that its tile choice takes there. Nothing here imports torch or Triton.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from crossiqa_edge.errors import ConfigError

# A factor of a launch grid: (size, block) stands for ceil(size / block) programs.
Factor = tuple[str, int]
# Programs along each of one to three axes: each axis the product of its factors.
Grid = tuple[tuple[Factor, ...], ...]
Constant = bool | int | float | str | tuple[int, ...] | None

ALIGNMENT = 16  # bytes for pointers, and the divisor that ``aligned`` promises of integers


@dataclass(frozen=True, slots=True)
class Workload:
    """What one encoder asks of the kernels at one batch size.

    Attributes:
        architecture: compute capability as one number, 87 for 8.7.
        dtype: element type of activations and weights: ``fp16``, ``bf16`` or ``fp32``.
        batch: views in one inference.
        tokens: tokens of a view, class token included.
        width, heads, hidden: token width, attention heads, width inside the MLP.
        layer_scale: whether blocks have LayerScale parameters.
        patch: side of a patch in pixels.
        levels: (pixels per side merged, width out) of each patch-local embedding level but the last; empty
            for the plain linear embedding.
    """

    architecture: int
    dtype: str
    batch: int
    tokens: int
    width: int
    heads: int
    hidden: int
    layer_scale: bool = False
    patch: int = 16
    levels: tuple[tuple[int, int], ...] = ()

    @property
    def head_dim(self) -> int:
        return self.width // self.heads

    @property
    def rows(self) -> int:
        """Rows of the matrices that the linear layers see."""
        return self.batch * self.tokens


@dataclass(frozen=True)
class KernelSpec:
    """One kernel, one tile: all that a compiler and a launcher must know.

    Attributes:
        name: what the model uses it for, for instance ``attention`` or ``linear.fc1``; unique in a workload.
        function: the ``@triton.jit`` function.
        signature: Triton type of every run-time parameter, in the order of the function's parameters, for
            instance ``{"qkv_pointer": "*fp16", "tokens": "i32"}``.
        constants: value of every other parameter: the ``tl.constexpr`` ones, and pointers that are None.
        grid: rule of the launch grid over named sizes, for instance
            ``((("tokens", 64),), (("batch", 1), ("heads", 1)))`` for (ceil(tokens / 64), batch * heads).
        sizes: every size that ``grid`` names and every number in ``signature``, at this workload.
        fixed: sizes that the code was compiled for; with others it would read too much or too little.
        aligned: integer parameters that are always multiples of 16. All pointers are aligned to 16 bytes:
            without that promise Triton reads element by element, and never asynchronously.
        warps, stages: of 32 threads, and of the software pipeline.
        alone: whether a multiprocessor runs one program of it at a time, which may have all its registers.
        matrix: whether it multiplies matrices, so that tensor-core instructions are expected.
        async_copy: whether its inner loop is pipelined, so that cp.async (or TMA) is expected.
    """

    name: str
    function: Any
    signature: Mapping[str, str]
    constants: Mapping[str, Constant]
    grid: Grid
    sizes: Mapping[str, int]
    fixed: tuple[str, ...] = ()
    aligned: tuple[str, ...] = ()
    warps: int = 4
    stages: int = 1
    alone: bool = False
    matrix: bool = False
    async_copy: bool = False

    @property
    def parameters(self) -> tuple[tuple[str, str], ...]:
        """(name, Triton type) of what a launch passes, in order."""
        return tuple(self.signature.items())


def programs(grid: Grid, sizes: Mapping[str, int]) -> tuple[int, int, int]:
    """The launch grid that ``grid`` gives for ``sizes``; axes that it does not name are 1.

    Raises:
        ConfigError: a size is missing or below 1.
    """
    axes = [prod(_programs_along(factor, sizes) for factor in axis) for axis in grid]
    x, y, z = [*axes, 1, 1, 1][:3]
    return x, y, z


def _programs_along(factor: Factor, sizes: Mapping[str, int]) -> int:
    size, block = factor
    if sizes.get(size, 0) < 1:
        raise ConfigError(f"the launch grid needs {size!r}, at least 1, not {sizes.get(size)}")
    return -(-sizes[size] // block)
