"""Reconstruction sheets: a picture of the pretext at work, for people."""

from __future__ import annotations

import io
import os

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.model.reconstruction import CrossReconstruction

_GAP = 4
_HEADER = 16
_COLUMNS = (
    "content a, p",
    "content b, q",
    "target a, q",
    "crossed",
    "target b, p",
    "crossed",
    "straight a, p",
)


@torch.no_grad()
def write_sheet(module: CrossReconstruction, grids: Tensor, path: str | os.PathLike[str]) -> None:
    """PNG with a row for each grid of uint8 (B, 2, 2, S, S, 3): inputs, targets, outputs."""
    side = grids.shape[3]
    tokens = module.encode_grid(grids)
    crossed = _to_pixels(module.cross(tokens, side).pixels).view(grids.shape)
    straight = _to_pixels(module.decode(tokens[:, 0, 0, 1:], tokens[:, 0, 0, 0], side).pixels)
    columns = (
        grids[:, 0, 0],
        grids[:, 1, 1],
        grids[:, 0, 1],
        crossed[:, 0, 1],
        grids[:, 1, 0],
        crossed[:, 1, 0],
        straight,
    )
    pitch = side + _GAP
    sheet = Image.new("RGB", (pitch * len(columns), _HEADER + pitch * len(grids)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (title, column) in enumerate(zip(_COLUMNS, columns, strict=True)):
        draw.text((i * pitch + 2, 2), title, fill="black")
        for j, view in enumerate(column.cpu().numpy()):
            sheet.paste(Image.fromarray(view.astype(np.uint8)), (i * pitch, _HEADER + j * pitch))
    encoded = io.BytesIO()
    sheet.save(encoded, "PNG")
    with atomic_write(path) as stream:
        stream.write(encoded.getvalue())


def _to_pixels(pixels: Tensor) -> Tensor:
    return (pixels.clamp(0.0, 1.0) * 255.0).round().to(torch.uint8)
