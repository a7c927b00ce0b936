"""A folder of one's own: pictures that differ in brightness, a table of opinions on it, micro weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from crossiqa_edge.card import ModelCard
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.model.checkpoint import save_model
from crossiqa_edge.model.quality import QualityModel


def make_pictures(folder: Path, count: int = 60) -> list[tuple[str, float]]:
    """(name, opinion) of each; the opinion is the factor that darkened it, on 1 to 5."""
    folder.mkdir(parents=True, exist_ok=True)
    factors = np.random.default_rng(0).uniform(0.2, 1, count)
    for index, factor in enumerate(factors):
        picture = (photo_like(index % 6, 96, 96) * factor).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{index}.png")
    return [(f"{index}.png", 1 + 4 * factor) for index, factor in enumerate(factors)]


def write_table(path: Path, rows: Iterable[tuple[object, ...]], header: str = "file,mos") -> Path:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]))
    return path


def write_weights(path: Path, change: Callable[[QualityModel], object] = lambda model: None) -> Path:
    """A random micro network."""
    torch.manual_seed(0)
    card = ModelCard("micro", "micro", view_size=112, interval_half_width=10.0, accuracy={"x": {"SRCC": 0.5}})
    model = QualityModel(card)
    change(model)
    save_model(model, card, path)
    return path
