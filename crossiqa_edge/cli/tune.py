"""``crossiqa tune``: the most accurate way to score within a budget of time, found by measuring here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crossiqa_edge.atomic import write_text
from crossiqa_edge.bench.command import POSITIVE, Finite
from crossiqa_edge.cli.bench import USUAL_BACKENDS, judged_pictures
from crossiqa_edge.cli.console import complain
from crossiqa_edge.weights import available

if TYPE_CHECKING:
    from crossiqa_edge.bench.point import Point
    from crossiqa_edge.bench.tune import Budget, Solution

_BATCHES = (1, 2, 4, 8)
_SAMPLINGS = (("fragments", 1), ("fragments", 5), ("crops", 1), ("crops", 5))
_PROBE_PICTURES = 125


@click.command()
@click.option(
    "--max-latency-ms",
    type=POSITIVE,
    required=True,
    help="From a picture's arrival to its score.",
)
@click.option(
    "--p",
    "percentile",
    type=Finite(min=0, min_open=True, max=100),
    default=99.0,
    show_default=True,
    help="Percent of the calls that must keep it.",
)
@click.option("--min-srcc", type=Finite(-1, 1), help="Least rank correlation with opinion.")
@click.option("--fps", type=POSITIVE, help="Pictures that arrive a second.")
@click.option("--model", "models", multiple=True, metavar="NAME|FILE", help="Repeat.  [default: all shipped]")
@click.option("--data", metavar="NAME=PATH", help="Data set for accuracy.  [default: the built-in probe]")
@click.option(
    "--seconds",
    type=POSITIVE,
    default=1.0,
    show_default=True,
    help="Timing of a point in the first of four heats; doubled in each.",
)
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE.json", help="Write it here.")
@click.option("--json", "as_json", is_flag=True, help="The solution as one JSON document.")
def command(
    max_latency_ms: float,
    percentile: float,
    min_srcc: float | None,
    fps: float | None,
    models: tuple[str, ...],
    data: str | None,
    seconds: float,
    out: Path | None,
    as_json: bool,
) -> int:
    """Find the most accurate model, backend, batch and sampling within a budget of time.

    All that this machine can run is timed, in heats that leave out what is certainly too slow. The choice
    is written as a file that score, watch and serve read: crossiqa score --config FILE.json …

    \b
    Exit codes:
      0    a point was found
      1    nothing fits the budget; the table says by how much
      2    nothing could be measured
    """
    from crossiqa_edge.bench.tune import Budget

    budget = Budget(max_latency_ms, percentile, min_srcc, fps)
    solution = _solve(models, data, budget, seconds)
    chosen = solution.chosen
    try:
        if out is not None and chosen is not None:
            write_text(out, json.dumps(_config(chosen.point), indent=2) + "\n")
            complain(f"written to {out}; use it: crossiqa score|watch|serve --config {out}")
    finally:  # what took minutes is shown even where the file cannot be written
        click.echo(json.dumps(_document(solution, budget), indent=2) if as_json else _table(solution, budget))
    return 0 if chosen else 1


def _solve(models: tuple[str, ...], data: str | None, budget: Budget, seconds: float) -> Solution:
    from crossiqa_edge.bench.measure import Call, accuracy
    from crossiqa_edge.bench.point import grid, in_words, open_all
    from crossiqa_edge.bench.probe import input_files
    from crossiqa_edge.bench.tune import solve

    points = grid(models or available(), USUAL_BACKENDS, _BATCHES, _SAMPLINGS)
    opened, refused = open_all(points)
    for reason in in_words(refused):
        complain(f"left out: {reason}")
    judged = judged_pictures(data, _PROBE_PICTURES if data is None else None)
    known: dict[tuple[str, str, str, int], float | None] = {}
    accuracies = {}
    for point, scorer in opened.items():
        kind = (point.model, point.backend, point.sampling, point.views)
        if kind not in known:
            complain(f"accuracy of {point} on {judged.name}")
            known[kind] = accuracy(scorer, judged)["srcc"]
        accuracies[point] = known[kind]
    files = input_files(judged, 16)
    calls = {point: Call(scorer, point.batch, files) for point, scorer in opened.items()}
    for call in calls.values():
        call.settle()
    return solve(calls, accuracies, budget, seconds=seconds, on_heat=_told)


def _told(heat: int, points: int) -> None:
    complain(f"heat {heat}: {points} points")


def _config(point: Point) -> dict[str, Any]:
    """What the verbs read: their own options, by name."""
    return {
        "model": point.model,
        "backend": point.backend,
        "sampling": point.sampling,
        "views": point.views,
        "batch": point.batch,
    }


def _document(solution: Solution, budget: Budget) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "budget": asdict(budget),
        "chosen": None if solution.chosen is None else _config(solution.chosen.point),
        "trials": [
            {**asdict(trial), "interval_ms": None if trial.calls == 0 else trial.interval_ms}
            for trial in solution.trials
        ],
    }


def _table(solution: Solution, budget: Budget) -> str:
    from crossiqa_edge.bench.tables import text

    header = ("point", "SRCC", f"p{budget.percentile:g} ms", "pictures/s", "calls", "verdict")
    lines = [
        (
            str(trial.point),
            "–" if trial.srcc is None else f"{trial.srcc:.4f}",
            f"{trial.latency_ms:.2f}" if trial.calls else "–",
            f"{trial.pictures_per_s:.1f}" if trial.calls else "–",
            str(trial.calls),
            trial.verdict,
        )
        for trial in solution.trials
    ]
    return text([header, *lines])
