"""``QualityModel``: uint8 views in, calibrated scores out. This is what is exported."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crossiqa_edge.card import ModelCard
from crossiqa_edge.model.encoder import build_encoder
from crossiqa_edge.model.heads import Calibration, RegressionHead


class Normalise(nn.Module):
    """uint8 (B, H, W, 3) -> float32 (B, 3, H, W), zero mean and unit deviation by the card's constants."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean) * 255.0, persistent=False)
        self.register_buffer("std", torch.tensor(std) * 255.0, persistent=False)

    def forward(self, views: Tensor) -> Tensor:
        return ((views.float() - self.mean) / self.std).permute(0, 3, 1, 2)


class QualityModel(nn.Module):
    """Encoder, linear regression on the class token, calibration.

    Built from a card alone, since a card holds every constant that is not a parameter.
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.normalise = Normalise(card.mean, card.std)
        self.encoder = build_encoder(card.size, embedding=card.embedding, view_size=card.view_size)
        self.head = RegressionHead(self.encoder.embed_dim)
        self.calibration = Calibration(*card.calibration)

    def features(self, views: Tensor) -> Tensor:
        """Quality embedding: class token after the final LayerNorm, (B, S, S, 3) -> (B, width)."""
        tokens: Tensor = self.encoder.forward_features(self.normalise(views))
        return tokens[:, 0]

    def raw(self, views: Tensor) -> Tensor:
        """Uncalibrated regression output, (B,), about 0..1."""
        raw: Tensor = self.head(self.features(views))
        return raw

    def forward(self, views: Tensor) -> Tensor:
        """uint8 (B, S, S, 3) -> score (B,), 0 to 100, higher is better."""
        score: Tensor = self.calibration(self.raw(views))
        return score
