"""What ``crossiqa train`` does without a recipe: a head for own opinions, a reference set for a card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click

from crossiqa_edge.cli.console import complain, track
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.weights import available


def finetune_own(
    table: str,
    start: str,
    out: Path,
    *,
    name: str | None,
    scale: str | None,
    cache: Path | None,
    seed: int | None,
    workers: int,
) -> tuple[Path, int]:
    """Fit a head to a table of opinions and say how good it is: (the model, the exit code)."""
    from crossiqa_edge.bench.subjects import weights_of
    from crossiqa_edge.training.adapt import CURVE, REPORT, adapt

    adapted = adapt(
        table,
        weights_of(start),
        out,
        name=name,
        scale=None if scale is None else _scale(scale),
        cache=cache,
        seed=seed or 0,
        workers=workers,
        track=_bar,
    )
    for key, reason in adapted.skipped.items():
        complain(f"{key}: left out: {reason}")
    for note in adapted.notes:
        complain(note)
    judged = adapted.judged
    told = f"on {judged.fitted.n} pictures"
    for what, figures in (
        (f"{adapted.card.name} {told}, each held out", judged.fitted),
        (f"{start} {told}", judged.start),
    ):
        low, high = figures.interval
        complain(f"{what}: SRCC {figures.srcc:.3f} ({low:.3f} to {high:.3f}), PLCC {figures.plcc:.3f}")
    complain(f"interval coverage {judged.coverage:.1%} (nominal 90%)")
    complain(f"report and learning curve: {out / REPORT}, {out / CURVE}")
    return adapted.path, int(bool(adapted.skipped))


def reference(weights: str, pictures: Path, name: str, out: Path | None, workers: int) -> tuple[Path, int]:
    """Put a reference set into the card of a weights file: (that file or its copy, the exit code)."""
    from crossiqa_edge.bench.subjects import Reading, scoring, weights_of
    from crossiqa_edge.model.checkpoint import check_name, load, save_model
    from crossiqa_edge.training.evaluate import Loading
    from crossiqa_edge.training.reference import score_reference

    if out is None and weights in available():
        raise ConfigError(
            f"{weights} is a shipped model and stays as it is; say with --out where its copy goes"
        )
    check_name(name)
    path = weights_of(weights)
    loading = Loading(workers=workers, track=track)
    found = score_reference(scoring(str(path), Reading()).run, pictures, name, loading)
    for key, reason in found.skipped.items():
        complain(f"{key}: left out: {reason}")
    model, card = load(path)
    written = out or path
    save_model(model, replace(card, reference_set=found.name, reference_scores=found.scores), written)
    complain(f"{card.name}: percentiles against {found.pictures} pictures of {found.name}")
    return written, int(bool(found.skipped))


def export_beside(weights: Path) -> Path:
    """``weights`` as an ONNX file beside it, accepted against the network; its path."""
    from crossiqa_edge.export.onnx import export_onnx
    from crossiqa_edge.model.checkpoint import load

    artefact, acceptance = export_onnx(*load(weights), weights.with_suffix(".onnx"))
    complain(f"{artefact.path}: {acceptance}")
    return artefact.path


def _scale(text: str) -> tuple[float, float]:
    try:
        worst, best = map(float, text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"--scale {text!r} is no scale; write WORST,BEST such as 1,5") from error
    return worst, best


def _bar(batches: Sequence[Sequence[Path]]) -> Iterator[Sequence[Path]]:
    return track(batches, "reading pictures", len(batches))
