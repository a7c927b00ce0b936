"""What each part of the training is worth: ``python -m crossiqa_edge.bench.ablation --help``.

Short trainings from random weights, alike but for one thing, each with several seeds. A seed decides
weights, draws and which references are held out, so variants are compared seed by seed. The first seed of
all variants runs before the second; a run that was stopped goes on where it was.

ROOT holds ``photos/``, ``kodak/``, ``opinions/`` and ``livec/``.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossiqa_edge.bench.jsonl import Row, append, parsed
from crossiqa_edge.bench.training_command import command_line, run_measure
from crossiqa_edge.card import ModelCard
from crossiqa_edge.errors import OutputError
from crossiqa_edge.model.checkpoint import load
from crossiqa_edge.model.quality import QualityModel
from crossiqa_edge.training.distributed import World, joined
from crossiqa_edge.training.finetune import Start, finetune
from crossiqa_edge.training.pretrain import pretrain
from crossiqa_edge.training.recipe import FinetuneRecipe, PretrainRecipe, Source

RUNS = "runs.jsonl"  # in a folder of results

_PRETEXT = PretrainRecipe(
    "ablation-pretext",
    view_size=96,
    batch=12,
    steps=150,
    steps_per_epoch=150,
    learning_rate=1.5e-3,
    warmup_steps=20,
    ema_decay=0.98,
    precision="fp32",  # of runs on machines with bfloat16, too
)
_OPINION = FinetuneRecipe(
    "ablation",
    view_size=96,
    batch=12,
    steps=250,
    steps_per_epoch=250,
    warmup_steps=25,
    ema_decay=0.98,
    precision="fp32",
    fragment_share=0.85,
    sources=(
        Source("population", 5.0),
        Source("tid-population", 4.0),
        Source("folder", 2.0, 0.2, name="LIVE-itW (900 of 1,162)"),
        Source("tid-kodak", 3.0, hold_out_references=tuple(f"kodim{number}" for number in range(13, 17))),
    ),
)


@dataclass(frozen=True)
class Variant:
    """One training that differs in one thing.

    Attributes:
        name: as tables call it.
        against: the variant that it differs from in one thing; itself for the first.
        opinion: values of the fine-tuning's recipe that are changed.
        pretext: the same of the pre-training; None to start from random weights.
        network: what is trained, where there is no pretext.
    """

    name: str
    against: str
    opinion: Mapping[str, Any] = field(default_factory=dict)
    pretext: Mapping[str, Any] | None = None
    network: type[QualityModel] = QualityModel


class MeanPooled(QualityModel):
    """The mean of the patch tokens in place of the class token, which is there and not read."""

    def features(self, views: Tensor) -> Tensor:
        tokens: Tensor = self.encoder.forward_features(self.normalise(views))
        return tokens[:, 1:].mean(dim=1)


def _learnt_from(*sets: str) -> Mapping[str, Any]:
    """The sources with draws from ``sets`` alone; of the others only what is held out is used, to measure."""
    sources = (item if item.data in sets else replace(item, weight=0.0) for item in _OPINION.sources)
    return {"sources": tuple(sources)}


PLAIN, CROSSED = "no pretext, multi-level embedding, fragments", "crossed pretext first"
VARIANTS = (
    Variant(PLAIN, PLAIN),
    Variant("mean of the patch tokens instead of the class token", PLAIN, network=MeanPooled),
    Variant("plain patch embedding", PLAIN, {"embedding": "linear"}),
    Variant("windows instead of fragments", PLAIN, {"fragment_share": 0.0}),
    Variant("no loss on the kind of degradation", PLAIN, {"kind_weight": 0.0}),
    Variant("no rank loss", PLAIN, {"rank_weight": 0.0}),
    Variant(CROSSED, PLAIN, pretext={}),
    Variant("crossed within one picture", CROSSED, pretext={"pairing": "same-content"}),
    Variant("straight reconstruction only", CROSSED, pretext={"crossed_weight": 0.0}),
    Variant("learnt from population MOS alone", PLAIN, _learnt_from("population")),
    Variant("learnt from TID2013-Kodak alone", PLAIN, _learnt_from("tid-kodak")),
    Variant("learnt from LIVE-itW alone", PLAIN, _learnt_from("folder")),
)


def run(variant: Variant, seed: int, root: Path, work: Path, world: World, workers: int = 1) -> Row:
    """Train ``variant`` with ``seed`` and say how it ranks what its seed holds out.

    Returns:
        SRCC by held-out set, with what made it.
    """
    began = time.monotonic()
    folder, cache = work / "run", work / "pictures"
    shutil.rmtree(folder, ignore_errors=True)
    recipe = replace(_OPINION, seed=seed, **variant.opinion)
    card = ModelCard(name=recipe.name, size=recipe.size, embedding=recipe.embedding)
    torch.manual_seed(seed)
    start: Start | Path = (variant.network(card), card)
    if variant.pretext is not None:
        pretext = replace(_PRETEXT, seed=seed, **variant.pretext)
        start = pretrain(pretext, root / "photos", folder / "pretext", world, cache=cache, workers=workers)
    places = {"folder": root / "livec", "tid-kodak": root}
    roots = {source.data: places.get(source.data, root / "photos") for source in recipe.sources}
    _, card = load(finetune(recipe, start, roots, folder / "opinion", world, cache=cache, workers=workers))
    return {
        "variant": variant.name,
        "against": variant.against,
        "seed": seed,
        "views": recipe.batch * recipe.variants * recipe.steps,
        "pretext_views": 0 if variant.pretext is None else 4 * _PRETEXT.batch * _PRETEXT.steps,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "srcc": {name: figures["SRCC"] for name, figures in card.accuracy.items()},
    }


def measure(options: argparse.Namespace) -> None:
    """Run what is not in the file of results yet.

    Raises:
        CrossIQAError: a set that is not there, or a folder that cannot be written.
    """
    results = options.out / RUNS
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{options.out}: no folder for results ({error.strerror})") from error
    done = {(row["variant"], row["seed"]) for _, row in parsed(results)} if results.is_file() else set()
    with joined() as world:
        for seed in range(options.seeds):
            for variant in VARIANTS:
                if (variant.name, seed) not in done:
                    print(f"{variant.name}, seed {seed}", file=sys.stderr)
                    row = run(variant, seed, options.data, options.work, world, options.workers)
                    append(results, row)


def main(arguments: list[str] | None = None) -> int:
    parser = command_line(*(__doc__ or "").split("\n\n")[:2])
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, … (default: 3)")
    return run_measure(measure, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
