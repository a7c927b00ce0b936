"""Shapes that operators insist on: where a tensor is smaller, a kernel would read what lies behind it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from crossiqa_edge.errors import ConfigError


def check_shapes(operator: str, **operands: tuple[Tensor | None, Sequence[int]]) -> None:
    """Raise ConfigError unless each tensor that is there has the shape beside it: nothing is broadcast."""
    for name, (tensor, shape) in operands.items():
        if tensor is not None and tuple(tensor.shape) != tuple(shape):
            raise ConfigError(f"{operator}: {name} must be {tuple(shape)}, not {tuple(tensor.shape)}")
