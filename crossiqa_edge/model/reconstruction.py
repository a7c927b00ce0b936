"""Cross reconstruction, the pretext task: degradations change pictures by way of class tokens alone.

Zhang, Cross-IQA (arXiv 2405.04311), crosses the class tokens of two degraded versions of one picture.
Here the pairing is a 2 x 2 grid: contents a, b times degradations p, q. From the patch tokens of (a, p)
and the class token of (b, q) the decoder must make (a, q): what comes from another picture cannot
smuggle content, so all that passes through the class token is the degradation. The paper's pairing is
the special case a = b. Straight reconstructions, each view from its own two parts, keep the tokens
faithful to the pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossiqa_edge.model.decoder import CrossDecoder
from crossiqa_edge.model.family import PATCH_SIZE, family_size
from crossiqa_edge.model.quality import QualityModel
from crossiqa_edge.model.spectrum import BandEnergies

_PIXELS = PATCH_SIZE * PATCH_SIZE * 3


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Decoder output for a batch of views.

    Attributes:
        pixels: (B, S, S, 3) on about 0..1.
        energies: (B, N, outputs of BandEnergies), logarithmic.
    """

    pixels: Tensor
    energies: Tensor


class CrossReconstruction(nn.Module):
    """The network under training in the pretext: a quality model's encoder and the shared decoder.

    ``forward`` takes a grid of views, uint8 (B, 2, 2, S, S, 3): axis 1 the content, axis 2 the
    degradation. It returns the losses by name; ``total`` is what to minimise.
    """

    def __init__(
        self,
        quality: QualityModel,
        size: str,
        *,
        view_size: int,
        energy_weight: float,
        crossed_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.quality = quality
        self.energies = BandEnergies()
        self.decoder = CrossDecoder(family_size(size), _PIXELS + self.energies.outputs, view_size=view_size)
        self.energy_weight, self.crossed_weight = energy_weight, crossed_weight

    def forward(self, grid: Tensor) -> dict[str, Tensor]:
        tokens = self.encode_grid(grid)
        crossed = self.cross(tokens, grid.shape[3])
        # two of the four straight pairings suffice and cost half
        straight = self.decode(
            torch.cat([tokens[:, 0, 0, 1:], tokens[:, 1, 1, 1:]]),
            torch.cat([tokens[:, 0, 0, 0], tokens[:, 1, 1, 0]]),
            grid.shape[3],
        )
        crossed_pixels, crossed_energies = self.losses(crossed, grid.flatten(0, 2))
        straight_pixels, straight_energies = self.losses(straight, torch.cat([grid[:, 0, 0], grid[:, 1, 1]]))
        crossed_loss = crossed_pixels + self.energy_weight * crossed_energies
        straight_loss = straight_pixels + self.energy_weight * straight_energies
        return {
            "total": self.crossed_weight * crossed_loss + 0.5 * straight_loss,
            "crossed": crossed_pixels,
            "crossed_energies": crossed_energies,
            "straight": straight_pixels,
            "straight_energies": straight_energies,
        }

    def encode(self, views: Tensor) -> Tensor:
        """uint8 (B, S, S, 3) -> tokens (B, 1 + N, width), class token first."""
        tokens: Tensor = self.quality.encoder.forward_features(self.quality.normalise(views))
        return tokens

    def encode_grid(self, grid: Tensor) -> Tensor:
        """uint8 (B, 2, 2, S, S, 3) -> tokens (B, 2, 2, 1 + N, width)."""
        tokens = self.encode(grid.flatten(0, 2))
        return tokens.view(*grid.shape[:3], *tokens.shape[1:])

    def cross(self, tokens: Tensor, side: int) -> Rebuilt:
        """Rebuild every cell of the grid from the patch tokens of the same content under the other
        degradation and the class token of the other content under the same degradation.

        Shapes: tokens (B, 2, 2, 1 + N, width) -> views in the order of ``grid.flatten(0, 2)``.
        """
        patches = tokens[..., 1:, :].flip(2)
        classes = tokens[..., 0, :].flip(1)
        return self.decode(patches.flatten(0, 2), classes.flatten(0, 2), side)

    def decode(self, patch_tokens: Tensor, class_tokens: Tensor, side: int) -> Rebuilt:
        """(B, N, width) and (B, width) -> views of ``side`` pixels."""
        grid = side // PATCH_SIZE
        outputs = self.decoder(patch_tokens, class_tokens, (grid, grid)).float()
        pixels = outputs[..., :_PIXELS].reshape(-1, grid, grid, PATCH_SIZE, PATCH_SIZE, 3).transpose(2, 3)
        return Rebuilt(pixels.reshape(-1, side, side, 3), outputs[..., _PIXELS:])

    def losses(self, rebuilt: Rebuilt, target: Tensor) -> tuple[Tensor, Tensor]:
        """(mean absolute pixel error on 0..1, smooth absolute error of the log energies)."""
        wanted = target.float() / 255.0
        side = target.shape[1] // PATCH_SIZE
        patches = wanted.reshape(-1, side, PATCH_SIZE, side, PATCH_SIZE, 3)
        with torch.autocast(target.device.type, enabled=False):
            energies = self.energies(patches.transpose(2, 3).flatten(1, 2))
        return (
            F.l1_loss(rebuilt.pixels, wanted),
            F.smooth_l1_loss(rebuilt.energies, energies),
        )
