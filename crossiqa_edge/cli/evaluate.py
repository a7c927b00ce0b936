"""``crossiqa evaluate``: a model, or the features of its frozen encoder, against human opinion."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from crossiqa_edge import weights
from crossiqa_edge.atomic import write_text
from crossiqa_edge.card import ModelCard
from crossiqa_edge.cli.console import complain, track
from crossiqa_edge.cli.dataspec import DataSpec
from crossiqa_edge.data.datasets.base import QualitySet
from crossiqa_edge.errors import ArtefactError, ConfigError, MissingDependencyError
from crossiqa_edge.imaging.sampling import SAMPLINGS, Views
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.training.evaluate import Loading, Predict, evaluate, evaluate_probe, pooled
from crossiqa_edge.training.evaluation import Evaluation

if TYPE_CHECKING:
    from torch import Tensor

    from crossiqa_edge.model.quality import QualityModel

COLUMNS = ("model", "data", "split", "key", "reference", "distortion", "level", "opinion", "predicted")


@dataclass(frozen=True)
class Subject:
    """What is measured: frames to scores, or with a linear probe frames to features."""

    name: str
    run: Predict


@click.command()
@click.argument("model")
@click.option("--data", "sets", type=DataSpec(), multiple=True, required=True, metavar="NAME[:REFS]=PATH",
              help="A data set; more than one is measured in turn. NAME:13-16=PATH takes references 13 to 16, "
                   "NAME=PATH,OPTION=VALUE gives its loader an option.")
@click.option("--linear-probe", "probe", is_flag=True,
              help="Measure the frozen encoder by ridge regression on its features.")
@click.option("--train-data", "train_set", type=DataSpec(), metavar="NAME[:REFS]=PATH",
              help="Fit the probe on this set instead of on 80 % of the measured one.")
@click.option("--random-init", is_flag=True, help="Probe an untrained encoder of the same shape as well.")
@click.option("--splits", type=click.IntRange(min=1), default=10, show_default=True,
              help="Number of 80/20 splits by reference.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the first split.")
@click.option("--limit", type=click.IntRange(min=1), help="Measure only the first so many samples of each set.")
@click.option("--sampling", type=click.Choice(SAMPLINGS), help="How a picture is read. [default: the model's own]")
@click.option("--crops", type=click.IntRange(min=1), default=5, show_default=True,
              help="Windows a picture, with --sampling crops.")
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True,
              help="Pictures in one inference.")
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True,
              help="Threads that read or make pictures.")
@click.option("--json", "form", flag_value="json", help="One JSON document.")
@click.option("--markdown", "form", flag_value="markdown", help="Markdown tables.")
@click.option("--save-scores", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.csv",
              help="Also write the prediction of every sample.")
def command(
    model: str,
    sets: tuple[QualitySet, ...],
    probe: bool,
    train_set: QualitySet | None,
    random_init: bool,
    splits: int,
    seed: int,
    limit: int | None,
    sampling: str | None,
    crops: int,
    batch: int,
    workers: int,
    form: str | None,
    save_scores: Path | None,
) -> int:
    """Measure MODEL against human opinion.

    MODEL is a shipped model's name, an .onnx file, or .safetensors weights (which need the train extra).

    \b
    Exit codes:
      0    every sample was measured
      1    some samples could not be read, the others were measured
      2    nothing could be measured, or the usage was wrong
    """
    if not probe and (train_set is not None or random_init):
        raise ConfigError("--train-data and --random-init belong to --linear-probe; add it, or leave them out")
    loading = Loading(batch, workers, track)
    subjects = _subjects(model, probe, random_init, sampling, crops, seed)
    evaluations = []
    for subject, quality_set in ((subject, one) for subject in subjects for one in sets):
        chosen = quality_set if limit is None else replace(quality_set, samples=quality_set.samples[:limit])
        options = {"model": subject.name, "splits": splits, "seed": seed, "loading": loading}
        evaluation = (
            evaluate_probe(subject.run, chosen, train_set=train_set, **options)
            if probe
            else evaluate(subject.run, chosen, **options)
        )
        for key, reason in evaluation.skipped.items():
            complain(f"{evaluation.data}: {key}: {reason}")
        if form != "json":
            _show(evaluation, form)
        evaluations.append(evaluation)
    if form == "json":
        click.echo(json.dumps({"evaluations": [item.to_dict() for item in evaluations]}, indent=2))
    if save_scores is not None:
        write_text(save_scores, _as_csv(evaluations))
    return int(any(item.skipped for item in evaluations))
