"""AdamW, with orthogonalised momentum for the matrices of transformer blocks.

Muon (K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024): instead of the
momentum M = U S V' of a matrix, about U V' is subtracted, so that what gradients seldom point at is learnt as
fast as the rest. The step is scaled to the root mean square that AdamW's usually has (J. Liu et al., "Muon is
Scalable for LLM Training", 2025), so one learning rate serves both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

_MOMENTUM = 0.95
_ADAMW_RMS = 0.2
_ITERATIONS = 5
# The authors' a x + b x^3 + c x^5: repeated, it takes singular values from (0, 1] near 1, small ones fast.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_TINY = 1e-7


class _Step(NamedTuple):
    """A matrix that lies on its longer side, the direction of its step, and how far to go."""

    matrix: Tensor
    direction: Tensor
    group: Mapping[str, Any]


class Muon(torch.optim.AdamW):
    """Steps the parameters of groups with ``matrices`` > 0 by Muon, all others by AdamW.

    ``matrices`` says how many matrices lie above each other in each parameter of the group: 3 in the packed
    QKV projection (3 W, W), else 1.

    Args:
        groups: of parameters, as AdamW takes them, with ``matrices``.
        products: what matrices are orthogonalised in; bfloat16 will do.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float],
        products: torch.dtype,
    ) -> None:
        super().__init__(groups, lr=lr, betas=betas)
        self.products = products

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step by the gradients at hand."""
        hidden = [
            (parameter, parameter.grad, group)
            for group in self.param_groups
            if group["matrices"]
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        for parameter, _, _ in hidden:
            parameter.grad = None  # hidden from AdamW
        loss = super().step(closure)
        equal: dict[tuple[int, ...], list[_Step]] = defaultdict(list)
        for parameter, gradient, group in hidden:
            parameter.grad = gradient
            for step in self._steps(parameter, gradient, group):
                equal[tuple(step.matrix.shape)].append(step)
        for steps in equal.values():
            _take(steps, self.products)
        return loss

    def _steps(self, parameter: Tensor, gradient: Tensor, group: Mapping[str, Any]) -> list[_Step]:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)  # AdamW looks for it in every state that it loads
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1.0 - _MOMENTUM)
        ahead = gradient.lerp(state["momentum"], _MOMENTUM)
        parts = zip(parameter.chunk(group["matrices"]), ahead.chunk(group["matrices"]), strict=True)
        return [
            _Step(matrix, direction, group)
            if matrix.shape[0] <= matrix.shape[1]
            else _Step(matrix.T, direction.T, group)
            for matrix, direction in parts
        ]


def orthogonalised(matrices: Tensor) -> Tensor:
    """About U V' of each U S V': (B, M, N) with M <= N -> the same, singular values within 0.7 to 1.2."""
    a, b, c = _QUINTIC
    norms = torch.linalg.matrix_norm(matrices.float(), keepdim=True)
    result: Tensor = (matrices / (norms + _TINY)).to(matrices.dtype)
    for _ in range(_ITERATIONS):
        square = result @ result.mT
        result = a * result + (b * square + c * square @ square) @ result
    return result


def _take(steps: list[_Step], products: torch.dtype) -> None:
    """Steps of matrices of one shape, orthogonalised together."""
    directions = orthogonalised(torch.stack([step.direction for step in steps]).to(products))
    scale = _ADAMW_RMS * max(directions.shape[1:]) ** 0.5
    for (matrix, _, group), direction in zip(steps, directions, strict=True):
        matrix.mul_(1.0 - group["lr"] * group["weight_decay"])
        matrix.add_(direction.float(), alpha=-group["lr"] * scale)
