"""Band energies of patches: the part of a degradation that has no pixel-wise expectation.

The mean of all pictures that additive noise could have made is the clean picture, so a pixel loss alone
teaches a class token nothing about noise. The energies of noise, blocking and blur in DCT bands do have
an expectation; rebuilding them as well makes the class token carry the high-frequency degradations too.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

BLOCK = 8  # the transform size of JPEG and of most video blocks
BANDS = 8
# ITU-R BT.601 full-range RGB -> YCbCr (as in JFIF), rows Y, Cb, Cr
_RGB_TO_YCBCR = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)
_FLOOR = (1.0 / 255.0) ** 2  # one code value squared: what lies below is rounding, and counts as nothing


def dct_matrix(size: int = BLOCK) -> Tensor:
    """Orthonormal DCT-II, float32 (size, size); rows are frequencies (Ahmed, Natarajan, Rao 1974)."""
    positions = torch.arange(size, dtype=torch.float64)
    matrix = torch.cos(math.pi / size * (positions[None] + 0.5) * positions[:, None])
    matrix *= math.sqrt(2.0 / size)
    matrix[0] /= math.sqrt(2.0)
    return matrix.float()


class BandEnergies(nn.Module):
    """Log AC energies of patches in ``BANDS`` radial DCT bands of Y, Cb and Cr.

    An energy is ``log(1 + power)``, the power in squared code values.

    Shapes: pixels on 0..1, (..., P, P, 3) with P a multiple of 8 -> (..., 3 * BANDS).
    """

    outputs = 3 * BANDS
    dct: Tensor
    to_ycbcr: Tensor
    bands: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("dct", dct_matrix(), persistent=False)
        self.register_buffer("to_ycbcr", torch.tensor(_RGB_TO_YCBCR).T.contiguous(), persistent=False)
        self.register_buffer("bands", _band_weights(), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        side = pixels.shape[-2] // BLOCK
        ycbcr = pixels @ self.to_ycbcr
        blocks = ycbcr.reshape(*ycbcr.shape[:-3], side, BLOCK, side, BLOCK, 3)
        # (..., side, BLOCK rows, side, BLOCK columns, 3): transform rows, then columns
        spectrum = torch.einsum("ur,...irjcz,vc->...ijzuv", self.dct, blocks, self.dct)
        power = spectrum.square().mean(dim=(-5, -4)).flatten(-2)
        return torch.log1p(power @ self.bands / _FLOOR).flatten(-2)


def _band_weights() -> Tensor:
    """(64, BANDS): averages the AC coefficients whose radial frequency falls into each band."""
    u, v = torch.meshgrid(torch.arange(BLOCK), torch.arange(BLOCK), indexing="ij")
    radius = torch.sqrt((u**2 + v**2).float()).flatten()
    band = ((radius - 1.0) / (radius.max() - 1.0) * BANDS).long().clamp(0, BANDS - 1)
    weights = torch.nn.functional.one_hot(band, BANDS).float()
    weights[0] = 0.0  # the DC coefficient is brightness, and the pixels' affair
    return weights / weights.sum(dim=0).clamp(min=1.0)
