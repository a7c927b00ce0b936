"""``crossiqa score``: pictures in, scores out, as a table, JSON, CSV, and as an HTML report."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from time import perf_counter
from typing import Protocol, TextIO

import click

from crossiqa_edge.cli.console import complain, track
from crossiqa_edge.cli.options import reading_options
from crossiqa_edge.errors import InputError, OutputError
from crossiqa_edge.imaging.decode import MAX_PIXELS
from crossiqa_edge.imaging.gather import Entry, gather
from crossiqa_edge.report.records import CsvWriter, JsonWriter
from crossiqa_edge.report.result import Result, worst_first
from crossiqa_edge.report.table import TableWriter
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.runtime.select import AUTO, BACKENDS
from crossiqa_edge.version import __version__


class Writer(Protocol):
    """Where results go, one by one; ``close`` leaves a complete document, however many came."""

    def write(self, result: Result) -> None: ...

    def close(self) -> None: ...


_STAGES = ("decode", "sample", "infer")
_WRITERS: dict[str, Callable[[TextIO], Writer]] = {"table": TableWriter, "json": JsonWriter, "csv": CsvWriter}


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--json", "form", flag_value="json", help="One JSON document, a list of objects.")
@click.option("--csv", "form", flag_value="csv", help="CSV with a header.")
@click.option(
    "--sort",
    type=click.Choice(["given", "score"]),
    default="given",
    show_default=True,
    help="Order of the results; 'score' puts the worst first.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.html",
    help="Also write a self-contained HTML page with thumbnails.",
)
@click.option(
    "--fail-under",
    type=click.FloatRange(0, 100),
    metavar="SCORE",
    help="Exit with 1 if any picture scores below SCORE.",
)
@click.option("--timings", is_flag=True, help="Throughput and the share of each stage, on stderr.")
@click.option(
    "--model",
    default="nano",
    show_default=True,
    metavar="NAME|FILE",
    help="A shipped model (see: crossiqa models) or an .onnx file made by crossiqa export.",
)
@click.option(
    "--backend",
    type=click.Choice([AUTO, *BACKENDS]),
    default=AUTO,
    show_default=True,
    help="What runs the model.",
)
@reading_options
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of one inference.  [default: all]")
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=MAX_PIXELS,
    show_default=True,
    help="Refuse larger pictures; raise it for files you trust.",
)
def command(
    paths: tuple[str, ...],
    form: str | None,
    sort: str,
    report: Path | None,
    fail_under: float | None,
    timings: bool,
    model: str,
    backend: str,
    sampling: str | None,
    crops: int,
    batch: int,
    threads: int | None,
    max_pixels: int,
) -> int:
    """Score pictures from 0 (bad) to 100 (excellent).

    PATH is a picture, a folder (with all below it), a quoted glob, @LIST (a file with one path a line),
    or - for one picture on standard input.

    \b
    Exit codes:
      0    every picture was scored
      1    some could not be scored, or one scored below --fail-under
      2    none could be scored, the usage was wrong, or the report was not written
      130  interrupted; what was scored until then has been printed
    """
    if report is not None:
        _check_folder(report)
    entries = list(gather(paths))
    start = perf_counter()
    with Scorer.load(
        model, backend=backend, sampling=sampling, threads=threads, crops=crops, max_pixels=max_pixels
    ) as scorer:
        loaded = perf_counter()
        results = _run(scorer, entries, batch, _WRITERS[form or "table"](_stdout()), ordered=sort == "score")
        elapsed = perf_counter() - loaded
        if timings:
            _print_timings(results, loaded - start, elapsed)
        if report is not None:
            _write_report(results, report, scorer)
    return _exit_code(results, fail_under)


def _check_folder(report: Path) -> None:
    """Refuse now what could only be found out after all the work."""
    if not os.access(report.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{report}: cannot write into {report.parent}; choose another folder")


def _stdout() -> TextIOWrapper:
    """Standard output, made to spell out what its encoding lacks instead of failing half-way."""
    assert isinstance(sys.stdout, TextIOWrapper)
    sys.stdout.reconfigure(errors="backslashreplace")
    return sys.stdout


def _run(
    scorer: Scorer, entries: Sequence[Entry], batch: int, writer: Writer, *, ordered: bool
) -> list[Result]:
    """Score and print. Whatever ends this early, Ctrl-C included, what was done is printed and complete."""
    results: list[Result] = []
    outcomes = _outcomes(scorer, entries, batch)
    if ordered or not sys.stdout.isatty():  # rows that appear on a terminal are progress enough
        outcomes = track(outcomes, "scoring", len(entries))
    try:
        with closing(outcomes):
            for result in outcomes:
                results.append(result)
                if result.error is not None:
                    complain(f"{result.path}: {result.error}")
                if not ordered:
                    writer.write(result)
    finally:
        for result in worst_first(results) if ordered else ():
            writer.write(result)
        writer.close()
    return results


def _outcomes(scorer: Scorer, entries: Sequence[Entry], batch: int) -> Generator[Result, None, None]:
    """One result an entry, in order. Entries that are an error already go past the scorer."""
    sources = [entry.source for entry in entries if not isinstance(entry.source, InputError)]
    outcomes = scorer.score_many(sources, batch)
    for entry in entries:
        if isinstance(entry.source, InputError):
            yield Result(entry.label, None, entry.source)
        else:
            yield Result(entry.label, entry.source, next(outcomes))


def _print_timings(results: Sequence[Result], load: float, elapsed: float) -> None:
    """Throughput, and what the stages took; decoding runs beside the rest, so shares are of the work."""
    scores = [result.score for result in results if result.score is not None]
    complain(
        f"{len(scores)} pictures in {elapsed:.2f} s, {len(scores) / elapsed:.1f} pictures/s; "
        f"model loaded in {1e3 * load:.0f} ms"
    )
    stages = {stage: sum(score.timings[stage] for score in scores) for stage in _STAGES}
    total = sum(stages.values()) or 1.0
    for stage, spent in stages.items():
        complain(f"  {stage:<8}{spent / total:5.0%}{spent / max(len(scores), 1):9.2f} ms a picture")


def _write_report(results: Sequence[Result], path: Path, scorer: Scorer) -> None:
    from crossiqa_edge.report.write import write_report

    windows = f", {scorer.crops} windows a picture" if scorer.sampling == "crops" else ""
    provenance = {
        "Model": scorer.card.identity,
        "Backend": scorer.backend.describe,
        "Sampling": scorer.sampling + windows,
        "Made": f"{datetime.now():%Y-%m-%d %H:%M} by crossiqa-edge {__version__}",
    }
    write_report(path, results, [], provenance, track=_thumbnail_bar)
    complain(f"report written to {path}")


def _thumbnail_bar(results: Sequence[Result]) -> Iterator[Result]:
    return track(results, "making thumbnails", len(results))


def _exit_code(results: Sequence[Result], fail_under: float | None) -> int:
    values = [result.score.value for result in results if result.score is not None]
    if not values:
        return 2
    low = 0 if fail_under is None else sum(value < fail_under for value in values)
    if low:
        complain(f"{low} of {len(values)} pictures score below {fail_under:g}")
    return 1 if low or len(values) < len(results) else 0
