"""``crossiqa evaluate``: a model, or the features of its frozen encoder, against human opinion."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from crossiqa_edge.atomic import write_text
from crossiqa_edge.bench.subjects import Reading, Subject, encoder, scoring, untrained_encoder
from crossiqa_edge.card import ModelCard
from crossiqa_edge.cli.console import complain, print_table, track
from crossiqa_edge.cli.dataspec import guessed_scale, open_spec, open_whole, set_name
from crossiqa_edge.cli.options import reading_options
from crossiqa_edge.data.datasets.base import QualitySet
from crossiqa_edge.errors import ConfigError, OutputError
from crossiqa_edge.training.coverage import Coverage
from crossiqa_edge.training.evaluate import Loading, evaluate, evaluate_probe
from crossiqa_edge.training.evaluation import Evaluation
from crossiqa_edge.training.mix import parts_learnt_from

COLUMNS = ("model", "data", "split", "key", "reference", "distortion", "level", "opinion", "predicted")
PIPE_WIDTH = 120  # columns where nobody's terminal says how wide it is


@click.command()
@click.argument("model")
@click.option(
    "--data",
    "sets",
    multiple=True,
    required=True,
    metavar="NAME[:REFS]=PATH",
    help="A data set; more than one is measured in turn. NAME:13-16=PATH takes references 13 to 16, "
    "NAME=PATH,OPTION=VALUE gives its loader an option.",
)
@click.option(
    "--held-out",
    is_flag=True,
    help="Of each set only what the fine-tuning of MODEL held out, by its card.",
)
@click.option(
    "--linear-probe",
    "probe",
    is_flag=True,
    help="Measure the frozen encoder by ridge regression on its features.",
)
@click.option(
    "--train-data",
    metavar="NAME[:REFS]=PATH",
    help="Fit the probe on this set instead of on 80 % of the measured one.",
)
@click.option("--random-init", is_flag=True, help="Probe an untrained encoder of the same shape as well.")
@click.option(
    "--splits",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Number of 80/20 splits by reference.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the first split."
)
@click.option(
    "--limit", type=click.IntRange(min=1), help="Measure only the first so many samples of each set."
)
@reading_options
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Threads that read or make pictures.",
)
@click.option("--json", "form", flag_value="json", help="One JSON document.")
@click.option("--markdown", "form", flag_value="markdown", help="Markdown tables.")
@click.option(
    "--save-scores",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.csv",
    help="Also write the prediction of every sample.",
)
def command(
    model: str,
    sets: tuple[str, ...],
    held_out: bool,
    probe: bool,
    train_data: str | None,
    random_init: bool,
    splits: int,
    seed: int,
    limit: int | None,
    sampling: str | None,
    views: int | None,
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
      130  interrupted
    """
    if not probe and (train_data is not None or random_init):
        raise ConfigError(
            "--train-data and --random-init belong to --linear-probe; add it, or leave them out"
        )
    if probe and held_out:
        raise ConfigError("--held-out is for scores; a probe learns from a part of each set: leave one out")
    if save_scores is not None and not os.access(save_scores.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{save_scores}: cannot write into {save_scores.parent}; choose another folder")
    opened = [open_spec(spec) for spec in sets]
    train_set = None if train_data is None else open_spec(train_data)
    for note in filter(None, map(guessed_scale, sets, opened)):
        complain(note)
    reading = Reading(sampling, views)
    subjects = [encoder(model, reading) if probe else scoring(model, reading)]
    card = subjects[0].card
    if card is not None:
        opened = [_unseen(item, spec, card, held_out) for item, spec in zip(opened, sets, strict=True)]
    chosen = [_limited(item, limit) for item in opened]
    if random_init:
        subjects.append(untrained_encoder(model, reading, seed))
    measure: Callable[..., Evaluation] = partial(evaluate_probe, train_set=train_set) if probe else evaluate
    measure = partial(measure, splits=splits, seed=seed, loading=Loading(batch, workers, track))
    evaluations = []
    for evaluation in _evaluations(measure, subjects, chosen):
        for key, reason in evaluation.skipped.items():
            complain(f"{evaluation.data}: {key}: {reason}")
        _show(evaluation, form)
        evaluations.append(evaluation)
    known = [item.coverage for item in evaluations if item.coverage is not None]
    pooled = Coverage.pooled(known) if len(known) > 1 else None
    if form == "json":
        document = {
            "evaluations": [item.to_dict() for item in evaluations],
            "pooled_interval_coverage": None if pooled is None else pooled.to_dict(),
        }
        click.echo(json.dumps(document, indent=2))
    elif pooled is not None:
        click.echo(f"All sets together: {pooled}.")
    if save_scores is not None:
        write_text(save_scores, _as_csv(evaluations))
    return int(any(item.skipped for item in evaluations))


def _unseen(opened: QualitySet, spec: str, card: ModelCard, held_out: bool) -> QualitySet:
    """What the model's fine-tuning held out, if that is asked for; else a word where it learnt from some."""
    parts = parts_learnt_from(card, set_name(spec), open_whole(spec))
    if parts is None:
        if held_out:
            raise ConfigError(f"{opened.name}: {card.identity} did not learn from it; leave out --held-out")
        return opened
    training, held = ({item.reference for item in part.samples} for part in parts)
    if held_out:
        rest = opened.where(lambda item: item.reference in held)
        if not len(rest):
            raise ConfigError(f"{opened.name}: {card.identity} held none of these out; name others")
        return rest
    references = {item.reference for item in opened.samples}
    if known := references & training:
        complain(
            f"{opened.name}: {card.identity} learnt from {len(known)} of these {len(references)} references; "
            "--held-out measures on those that it held out"
        )
    return opened


def _limited(quality_set: QualitySet, limit: int | None) -> QualitySet:
    return replace(quality_set, samples=quality_set.samples[:limit])


def _evaluations(
    measure: Callable[..., Evaluation], subjects: Sequence[Subject], sets: Sequence[QualitySet]
) -> Iterator[Evaluation]:
    """One at a time, so that each is shown as soon as it is there."""
    for quality_set in sets:
        for subject in subjects:
            measured = measure(subject.run, quality_set, model=subject.name)
            yield measured if subject.card is None else measured.with_coverage(subject.card)


def _show(evaluation: Evaluation, form: str | None) -> None:
    """Print it, unless it is to be part of one JSON document."""
    if form == "markdown":
        click.echo(evaluation.to_markdown())
    elif form is None:
        print_table(evaluation.to_table(), PIPE_WIDTH)


def _as_csv(evaluations: Sequence[Evaluation]) -> str:
    """One row a prediction; a sample is in several test parts where each split has its own probe."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for evaluation, part in ((each, part) for each in evaluations for part in each.parts):
        for item, value in zip(part.samples, part.predicted, strict=True):
            facts = (
                item.key,
                item.reference,
                item.distortion,
                item.level,
                f"{item.score:.6g}",
                f"{value:.6g}",
            )
            table.writerow((evaluation.model, evaluation.data, part.split, *facts))
    return text.getvalue()
