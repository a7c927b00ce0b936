"""``crossiqa score``: pictures and clips in, scores out, as a table, JSON, CSV, and as an HTML report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from time import perf_counter

import click

from crossiqa_edge.cli.config import config_in_use
from crossiqa_edge.cli.console import complain, ended_by_sigterm
from crossiqa_edge.cli.options import model_options, policy_options, pooling_options, reading_options
from crossiqa_edge.cli.score_extras import (
    check_fragments,
    check_heatmap,
    check_overlay,
    draw_heatmap,
    draw_overlay,
    print_timings,
    report_on,
)
from crossiqa_edge.cli.score_run import ClipSettings, pictures_ahead, score_all, writer_for
from crossiqa_edge.errors import ConfigError, OutputError
from crossiqa_edge.imaging.decode import MAX_PIXELS
from crossiqa_edge.imaging.gather import Entry, gather
from crossiqa_edge.report.result import ClipResult, Result
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.runtime.select import AUTO
from crossiqa_edge.video.policy import Policy
from crossiqa_edge.video.pooling import Pooling


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--json",
    "form",
    flag_value="json",
    help="One JSON document: a list, or the object of the clip that alone is named.",
)
@click.option("--jsonl", "form", flag_value="jsonl", help="One JSON object a line, frame by frame.")
@click.option("--csv", "form", flag_value="csv", help="CSV with a header; a row a picture or frame.")
@click.option(
    "--sort",
    type=click.Choice(["given", "score"]),
    default="given",
    show_default=True,
    help="Order of the results; 'score' puts the worst first.  Frames, in --csv and --jsonl, stay in their "
    "order.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.html",
    help="Also write a self-contained HTML page with thumbnails and curves.",
)
@click.option(
    "--overlay",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.mp4",
    help="Also write a copy of the one clip with score and curve burnt in.",
)
@click.option(
    "--heatmap",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.png|mp4",
    help="Also show where in the one picture or clip quality is lost: what each fragment adds to the score "
    "or takes from it.",
)
@click.option(
    "--fail-under",
    type=click.FloatRange(0, 100),
    metavar="SCORE",
    help="Exit with 1 if any picture or clip scores below SCORE.",
)
@click.option("--timings", is_flag=True, help="Throughput and the share of each stage, on stderr.")
@model_options
@reading_options
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=MAX_PIXELS,
    show_default=True,
    help="Refuse larger pictures; raise it for files you trust.",
)
@policy_options
@pooling_options
def command(
    paths: tuple[str, ...],
    form: str | None,
    sort: str,
    report: Path | None,
    overlay: Path | None,
    heatmap: Path | None,
    fail_under: float | None,
    timings: bool,
    model: str,
    backend: str,
    sampling: str | None,
    views: int | None,
    batch: int,
    threads: int | None,
    max_pixels: int,
    policy: Policy,
    live: bool | None,
    hardware: str,
    pooling: Pooling,
) -> int:
    """Score pictures and clips from 0 (bad) to 100 (excellent).

    PATH is a picture, a clip, a folder (with all below it), a quoted glob, @LIST (a file with one path a
    line), or - for one picture or clip on standard input. The options from --live on are for clips.

    \b
    Exit codes:
      0    everything was scored
      1    something could not be scored, or not to its end, or it scored below --fail-under
      2    nothing could be scored, the usage was wrong, or a file was not written
      130  interrupted; what was scored until then has been printed
    """
    entries = list(gather(paths))
    _check_outputs(entries, report, overlay, heatmap)
    read = [*_read_files(paths, entries), model, *config_in_use()]
    _check_nothing_is_lost(read, [report, overlay, heatmap])
    start = perf_counter()
    with (
        ended_by_sigterm(),
        Scorer.load(
            model,
            backend=backend,
            sampling=sampling,
            threads=threads,
            views=views,
            max_pixels=max_pixels,
            work=pictures_ahead(entries),
        ) as scorer,
    ):
        loaded = perf_counter()
        if heatmap is not None:
            check_fragments(scorer)
        settings = ClipSettings(replace(policy, batch=batch), live, pooling, hardware)
        writer = writer_for(form, paths, entries)
        outcomes = score_all(scorer, entries, batch, settings, writer, ordered=sort == "score")
        scored = any(outcome.value is not None for outcome in outcomes)
        if timings or (backend == AUTO and scored):  # where nothing was scored, the errors say all
            complain(f"{scorer.backend.describe}: {scorer.backend.reason}")
        if timings:
            print_timings(outcomes, loaded - start, perf_counter() - loaded)
        if report is not None:
            report_on(outcomes, report, scorer)
        if overlay is not None:
            draw_overlay(outcomes[0], overlay)
        if heatmap is not None:
            draw_heatmap(outcomes[0], heatmap, scorer)
    return _exit_code(outcomes, fail_under)


def _check_outputs(
    entries: Sequence[Entry], report: Path | None, overlay: Path | None, heatmap: Path | None
) -> None:
    """Refuse now what could only be found out after all the work."""
    for path in filter(None, (report, overlay, heatmap)):
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise OutputError(f"{path}: cannot write into {path.parent}; choose another folder")
    if overlay is not None:
        check_overlay(entries, overlay)
    if heatmap is not None:
        check_heatmap(entries, heatmap)
    piped = any(entry.clip and not isinstance(entry.source, str) for entry in entries)
    if piped and (overlay is not None or heatmap is not None):
        raise ConfigError(
            "a clip on standard input cannot be read twice, to draw on it; save it to a file first"
        )


def _read_files(paths: Sequence[str], entries: Sequence[Entry]) -> Iterator[str]:
    """What is read: the lists among ``paths``, pictures and clips, and what standard input comes from."""
    yield from (path[1:] for path in paths if path.startswith("@") and path != "@-")
    yield from (entry.source for entry in entries if isinstance(entry.source, str))
    if "@-" in paths or any(entry.label == "-" for entry in entries):
        yield "/dev/stdin"


def _check_nothing_is_lost(inputs: Sequence[str], outputs: Sequence[Path | None]) -> None:
    """Raise ConfigError where an output would take the place of an input or of another output."""
    written = [path for path in outputs if path is not None]
    for one, other in combinations(written, 2):
        if os.path.realpath(one) == os.path.realpath(other):
            raise ConfigError(f"{other}: two outputs would be written there; give each a name of its own")
    for path in written:
        # A device or a pipe loses nothing, and a terminal is often both input and output.
        if path.is_file() and any(_same_file(path, given) for given in inputs):
            raise ConfigError(f"{path}: is read, and would be written over; choose another name")


def _same_file(one: Path, other: str) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):  # an address, the name of a model, or nothing there
        return False


def _exit_code(outcomes: Sequence[Result | ClipResult], fail_under: float | None) -> int:
    # As they are printed: a score shown as 40.00 is not below 40.
    scores = [round(outcome.value, 2) for outcome in outcomes if outcome.value is not None]
    if not scores:
        return 2
    low = 0 if fail_under is None else sum(score < fail_under for score in scores)
    if low:
        what = "pictures" if all(isinstance(outcome, Result) for outcome in outcomes) else "results"
        complain(f"{low} of {len(scores)} {what} score below {fail_under:g}")
    return 1 if low or any(outcome.error is not None for outcome in outcomes) else 0
