"""Models under the roofline, as a table: inference alone, views in memory, peaks of the same minute."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from crossiqa_edge.bench.point import Point
from crossiqa_edge.bench.roofline import Peak, count, measure_peak, place
from crossiqa_edge.bench.tables import Cells
from crossiqa_edge.bench.timing import interleave
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.runtime.scorer import Scorer

_HEADER: Cells = (
    "model",
    "precision",
    "backend",
    "batch",
    "MFLOP a view",
    "ms",
    "GFLOP/s",
    "of the roof",
    "limit",
)


def measure_roofline(opened: Mapping[Point, Scorer], seconds: float) -> list[Cells]:
    """Header and a line for each open point, all timed in turns, under the roof of what it computes on."""
    timings = interleave(
        {str(point): _inference(scorer, point.batch) for point, scorer in opened.items()}, seconds=seconds
    )
    peaks = {device: measure_peak(device) for device in {*map(_device, opened.values())}}
    return [
        _HEADER,
        *(
            _line(point, scorer, peaks[_device(scorer)], timings[str(point)].median)
            for point, scorer in opened.items()
        ),
    ]


def _device(scorer: Scorer) -> str:
    """Backends call a GPU by various names; there is one roof for all of them."""
    return "cpu" if scorer.backend.device == "cpu" else "gpu"


def _inference(scorer: Scorer, batch: int) -> Callable[[], object]:
    size = scorer.card.view_size
    views = np.stack([photo_like(seed, size, size) for seed in range(batch)])
    return lambda: scorer.backend.infer(views)


def _line(point: Point, scorer: Scorer, peak: Peak, milliseconds: float) -> Cells:
    work = count(scorer.artefact.path)
    reached = place(work, peak, point.batch, milliseconds)
    return (
        scorer.card.name,
        scorer.backend.precision,
        scorer.backend.name,
        str(point.batch),
        f"{work.flops / 1e6:.0f}",
        f"{milliseconds:.2f}",
        f"{reached.flops / 1e9:.1f}",
        f"{reached.share:.0%}",
        reached.limit,
    )
