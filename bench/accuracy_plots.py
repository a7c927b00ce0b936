"""The pictures of docs/accuracy.md: opinions against scores, and agreement type by type."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.bench.accuracy_columns import Column, Store
from crossiqa_edge.bench.accuracy_rows import groups, picture_name
from crossiqa_edge.bench.accuracy_sets import Corpus
from crossiqa_edge.bench.figure import png
from crossiqa_edge.training.evaluation import BANDS
from crossiqa_edge.training.metrics import srcc

_COLOURS = {"low": "#1f77b4", "high": "#d95f02", "mixed": "#2ca02c"}
_TITLES = {
    "tid": "TID2013-Kodak (rebuilt), 13 to 16",
    "population": "population MOS",
    "authentic": "LIVE-itW",
}
_QUALITY = 80


def draw(
    folder: Path, ours: Column, others: Sequence[Column], worlds: Sequence[Corpus], store: Store
) -> None:
    """Write the pictures ``scatter`` and ``types`` of our model into ``folder``.

    Raises:
        OutputError: a file cannot be written.
    """
    size = ours.name.split()[0]
    _write(folder / picture_name("scatter", size), scatter_png(ours, worlds, store))
    synthetic = [world for world in worlds if world.test.original is not None]
    rivals = [column for column in others if column.role == "peer"]
    _write(folder / picture_name("types", size), types_png([ours, *rivals], synthetic, store))


def scatter_png(ours: Column, worlds: Sequence[Corpus], store: Store) -> bytes:
    """PNG: a plot for each world, a point for each picture, coloured by the band of its degradation."""
    figure, grid = _plots(len(worlds), width=3.6, height=3.6, sharey=True)
    for axes, world in zip(grid[0], worlds, strict=True):
        samples, values = world.test.quality_set.samples, store(ours, world.test)
        opinions = 100 * world.test.quality_set.scores
        for band in (*BANDS, None):
            chosen = np.array([item.band == band for item in samples])
            if chosen.any():
                colour = _COLOURS.get(band or "", "#555555")
                label = f"{band} frequency" if band in ("low", "high") else band
                axes.scatter(
                    values[chosen], opinions[chosen], s=5, alpha=0.5, color=colour, label=label, lw=0
                )
        axes.set_title(f"{_TITLES[world.key]}: SRCC {srcc(values, opinions):.3f}", fontsize=9)
        axes.set_xlabel(f"score of {ours.name}")
        axes.grid(alpha=0.25)
    grid[0][0].set_ylabel("opinion, 0 to 100")
    grid[0][0].legend(frameon=False, fontsize=8)
    return png(figure)


def types_png(columns: Sequence[Column], worlds: Sequence[Corpus], store: Store) -> bytes:
    """PNG: for each world a bar for every type and column, as long as the SRCC within the type."""
    kinds = {world.key: _types(world) for world in worlds}
    figure, grid = _plots(len(worlds), width=4.6, height=0.9 + 0.3 * max(map(len, kinds.values())))
    width = 0.8 / len(columns)
    for axes, world in zip(grid[0], worlds, strict=True):
        places = np.arange(len(kinds[world.key]))
        for index, column in enumerate(columns):
            lengths = _srcc_by_type(column, world, store)
            axes.barh(places + (index - (len(columns) - 1) / 2) * width, lengths, width, label=column.name)
        axes.set_yticks(places, [name.removeprefix("tid_").replace("_", " ") for name in kinds[world.key]])
        axes.invert_yaxis()
        axes.set_xlim(-1, 1)
        axes.axvline(0, color="black", lw=0.6)
        axes.grid(alpha=0.25, axis="x")
        axes.set_title(_TITLES[world.key], fontsize=9)
        axes.set_xlabel("SRCC within the type")
    grid[0][0].legend(frameon=False, fontsize=8, loc="lower left")
    return png(figure)


def _plots(count: int, *, width: float, height: float, sharey: bool = False) -> tuple[Any, Any]:
    """A figure with ``count`` plots in a row, each of so many inches."""
    from matplotlib import pyplot  # ``figure`` has said what to install where it is absent

    size = (width * count, height)
    figure, grid = pyplot.subplots(1, count, figsize=size, layout="constrained", squeeze=False, sharey=sharey)
    return figure, grid


def _types(world: Corpus) -> list[str]:
    chosen = groups(world.test.quality_set.samples)
    return [name for name in chosen if name in {item.distortion for item in world.test.quality_set.samples}]


def _srcc_by_type(column: Column, world: Corpus, store: Store) -> list[float]:
    values, opinions = store(column, world.test), world.test.quality_set.scores
    chosen = groups(world.test.quality_set.samples)
    found = []
    for name in _types(world):
        rows = [index for index, item in enumerate(world.test.quality_set.samples) if chosen[name](item)]
        found.append(srcc(values[rows], opinions[rows]))
    return found


def _write(path: Path, picture: bytes) -> None:
    """As WebP, which is a fifth of the PNG."""
    stream = BytesIO()
    Image.open(BytesIO(picture)).convert("RGB").save(stream, "WEBP", quality=_QUALITY)
    with atomic_write(path) as file:
        file.write(stream.getvalue())
