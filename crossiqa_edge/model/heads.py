"""From the class token to a score: the paper's linear regression, then the calibration to 0..100."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RegressionHead(nn.Linear):
    """Linear regression on the class token: (B, width) -> (B,), about 0 (worst) to 1 (best)."""

    def __init__(self, width: int) -> None:
        super().__init__(width, 1)
        nn.init.zeros_(self.weight)
        nn.init.constant_(self.bias, 0.5)

    def forward(self, class_token: Tensor) -> Tensor:
        return super().forward(class_token).squeeze(-1)


class Calibration(nn.Module):
    """``100 * sigmoid(slope * raw + offset)``: strictly monotone, so ranks never change, and bounded."""

    slope: Tensor
    offset: Tensor

    def __init__(self, slope: float = 4.0, offset: float = -2.0) -> None:
        super().__init__()
        self.register_buffer("slope", torch.tensor(slope), persistent=False)
        self.register_buffer("offset", torch.tensor(offset), persistent=False)

    def forward(self, raw: Tensor) -> Tensor:
        return 100.0 * torch.sigmoid(self.slope * raw + self.offset)
