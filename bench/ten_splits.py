"""Fine-tuning anew for each of ten splits of LIVE-itW: ``python -m crossiqa_edge.bench.ten_splits --help``.

The field's protocol, median SRCC over ten splits of 80/20, for the whole network instead of a probe on a
frozen one. All ten start from one network that has seen synthetic degradations only, and no opinion of the
set. Its trainings are shorter than those of shipped models.

ROOT holds ``photos/``, ``kodak/``, ``opinions/`` and ``livec/``. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from crossiqa_edge.bench.accuracy_rows import FIGURES, TUNED_SPLITS, head
from crossiqa_edge.bench.jsonl import append
from crossiqa_edge.bench.training_command import command_line, run_measure
from crossiqa_edge.data.datasets.splits import TEN
from crossiqa_edge.model.checkpoint import load
from crossiqa_edge.model.family import FAMILY
from crossiqa_edge.training.distributed import World, joined
from crossiqa_edge.training.finetune import finetune
from crossiqa_edge.training.metrics import json_number
from crossiqa_edge.training.recipe import FinetuneRecipe, Source

_AUTHENTIC = Source("folder", hold_out=0.2, name="LIVE-itW (900 of 1,162)")
_SYNTHETIC = FinetuneRecipe(
    "splits-start",
    view_size=96,
    batch=12,
    steps=800,
    steps_per_epoch=800,
    warmup_steps=50,
    learning_rate=3e-3,
    optimiser="muon",
    fragment_share=0.85,
    sources=(
        Source("population", 5.0),
        Source("tid-population", 4.0),
        Source("tid-kodak", 3.0, hold_out_references=tuple(f"kodim{number}" for number in range(13, 17))),
    ),
)
_SPLIT = replace(
    _SYNTHETIC,
    name="splits",
    view_size=128,
    steps=150,
    steps_per_epoch=150,
    warmup_steps=20,
    learning_rate=1e-3,
    ema_decay=0.98,
    sources=(_AUTHENTIC,),
)


def measure(options: argparse.Namespace) -> None:
    """Train the start, then once for each split, and add a row with the median to ``options.out``.

    Raises:
        CrossIQAError: a set that is not there, or a folder that cannot be written.
    """
    with joined() as world:
        found, start = _ten_srcc(options, world)
    low, median, high = (json_number(float(value)) for value in np.quantile(found, (0.25, 0.5, 0.75)))
    row = head(TUNED_SPLITS, f"{options.size}, fine-tuned", "encoder", load(start)[1].identity)
    views = _SPLIT.steps * _SPLIT.batch * _SPLIT.variants
    row |= {"corpus": "authentic", "splits": TEN, "views": views, "srcc": median, "quartiles": [low, high]}
    append(options.out / FIGURES, row)


def _ten_srcc(options: argparse.Namespace, world: World) -> tuple[list[float], Path]:
    """SRCC of each split, and the weights that all of them started from."""
    root: Path = options.data
    work: Path = options.work / options.size

    def train(recipe: FinetuneRecipe, weights: Path | None, roots: dict[str, Path], folder: str) -> Path:
        # A finished run costs little once more, and one of another recipe, start or set is refused.
        sized, cache = replace(recipe, size=options.size), options.work / "pictures"
        return finetune(sized, weights, roots, work / folder, world, cache=cache, workers=options.workers)

    photos = root / "photos"
    synthetic = {"population": photos, "tid-population": photos, "tid-kodak": root}
    start = train(_SYNTHETIC, None, synthetic, "start")
    found = []
    for seed in range(TEN):
        path = train(replace(_SPLIT, seed=seed), start, {"folder": root / "livec"}, f"split-{seed}")
        found.append(load(path)[1].accuracy[_AUTHENTIC.name]["SRCC"])
    return found, start


def main(arguments: list[str] | None = None) -> int:
    parser = command_line((__doc__ or "").split(":")[0])
    parser.add_argument(
        "--size", choices=tuple(FAMILY), default="nano", help="of the network (default: nano)"
    )
    return run_measure(measure, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
