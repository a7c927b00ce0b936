"""``crossiqa bench``: latency and accuracy of models, backends and batches, side by side on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crossiqa_edge.bench.command import POSITIVE, Finite
from crossiqa_edge.cli.console import complain
from crossiqa_edge.cli.options import USUALLY, VIEWS
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.imaging.sampling import SAMPLINGS, views_a_picture
from crossiqa_edge.runtime.select import BACKENDS, ONLY_BY_NAME
from crossiqa_edge.weights import available

if TYPE_CHECKING:
    from crossiqa_edge.bench.probe import Judged

# What is measured unless backends are named: all but those whose first inference takes minutes.
USUAL_BACKENDS = tuple(name for name in BACKENDS if name not in ONLY_BY_NAME)


@click.group(invoke_without_command=True)
@click.option("--model", "models", multiple=True, metavar="NAME|FILE", help="Repeat.  [default: all shipped]")
@click.option(
    "--backend",
    "backends",
    multiple=True,
    type=click.Choice([*BACKENDS]),
    help="Repeat.  [default: all that run here without minutes of compiling]",
)
@click.option(
    "--batch",
    "batches",
    multiple=True,
    type=click.IntRange(min=1),
    default=(1, 8),
    show_default=True,
    help="Pictures in one inference; repeat.",
)
@click.option(
    "--sampling",
    "samplings",
    multiple=True,
    type=click.Choice(SAMPLINGS),
    default=("fragments",),
    show_default=True,
    help="Repeat.",
)
@click.option("--views", multiple=True, type=VIEWS, help=f"Views a picture; repeat.  {USUALLY}")
@click.option(
    "--threads", multiple=True, type=click.IntRange(min=1), help="Of one inference; repeat.  [default: all]"
)
@click.option(
    "--seconds",
    type=POSITIVE,
    default=5.0,
    show_default=True,
    help="Timing of each point.",
)
@click.option(
    "--rounds", type=click.IntRange(min=8), default=20, show_default=True, help="Turns of each point."
)
@click.option(
    "--data",
    metavar="NAME=PATH",
    help="Data set to measure accuracy on, as in crossiqa evaluate.  [default: the built-in probe]",
)
@click.option("--limit", type=click.IntRange(min=3), help="Use that many of its pictures, evenly spread.")
@click.option("--no-cold", is_flag=True, help="Leave out cold starts and peak memory.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="FILE.jsonl", help="Append the rows here."
)
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE.html", help="Write a report.")
@click.option("--json", "as_json", is_flag=True, help="Rows as JSON lines instead of a table.")
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Measure latency and accuracy of points on the trade-off curve.

    Every combination of the options is a point; all are timed in turns, so that a machine whose speed
    drifts treats them alike. Without --data, accuracy is that on a small built-in probe, which tells
    whether a precision or backend loses ranks, not how good a model is.
    """
    if context.invoked_subcommand is None:
        _run(**options)


def _run(
    models: tuple[str, ...],
    backends: tuple[str, ...],
    batches: tuple[int, ...],
    samplings: tuple[str, ...],
    views: tuple[int, ...],
    threads: tuple[int, ...],
    seconds: float,
    rounds: int,
    data: str | None,
    limit: int | None,
    no_cold: bool,
    out: Path | None,
    report: Path | None,
    as_json: bool,
) -> None:
    import json

    from crossiqa_edge.bench.jsonl import append
    from crossiqa_edge.bench.measure import measure
    from crossiqa_edge.bench.point import grid, in_words, open_all
    from crossiqa_edge.bench.rows import make_ready
    from crossiqa_edge.bench.tables import caption, result_cells, text

    # What cannot be written is told now, and not after minutes of measuring.
    _check_page(report)
    if out is not None:
        make_ready(out)
    how = [(name, views_a_picture(name, count)) for name in samplings for count in views or (None,)]
    points = grid(models or available(), backends or USUAL_BACKENDS, batches, how, threads or (None,))
    opened, refused = open_all(points)
    for reason in in_words(refused):
        complain(f"left out: {reason}")
    judged = judged_pictures(data, limit)
    rows = measure(opened, judged, seconds=seconds, rounds=rounds, cold=not no_cold, on_step=complain)
    try:
        if out is not None:
            append(out, *rows)
    finally:  # the disk may be full by now; what took minutes is shown all the same
        if as_json:
            click.echo("\n".join(map(json.dumps, rows)))
        else:
            click.echo(text(result_cells(rows)))
            complain(caption(rows))
    if report is not None:
        _report(rows, report)


def judged_pictures(data: str | None, limit: int | None) -> Judged:
    """The data set that ``--data`` names, or the built-in probe; at most ``limit`` of its pictures."""
    from crossiqa_edge.bench.probe import Judged, probe_set

    if data is None:
        return Judged.of(probe_set(), limit)
    from crossiqa_edge.cli.dataspec import open_spec

    return Judged.of(open_spec(data), limit)


def _check_page(path: Path | None) -> None:
    if path is not None and path.suffix != ".html":  # the plot beside it would take its place
        raise ConfigError(f"{path}: the report is a page; give a name that ends in .html")


def _report(rows: list[dict[str, object]], path: Path) -> None:
    from crossiqa_edge.bench.report import write_report

    write_report(rows, path)
    complain(f"report written to {path} and {path.with_suffix('.png')}")


@command.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--fail-slower", is_flag=True, help="Exit with 1 if any point became slower.")
@click.option(
    "--fail-srcc",
    type=Finite(min=0),
    metavar="LOSS",
    help="Exit with 1 if one lost more SRCC than LOSS.",
)
def compare(before: Path, after: Path, fail_slower: bool, fail_srcc: float | None) -> int:
    """Compare the last runs of two result files, point by point.

    Times are relative to a calibration loop measured in each run, so the two may come from different
    machines of one kind. Where no difference shows, two are called the same, or undecided if the runs were
    too noisy for one of a tenth to show. Points that only one run has are named and not judged.
    """
    from crossiqa_edge.bench.comparison import compare_runs, lost_srcc, remarks
    from crossiqa_edge.bench.rows import latest_run, read
    from crossiqa_edge.bench.tables import change_cells, text

    old, new = latest_run(read(before)), latest_run(read(after))
    changes = compare_runs(old, new)
    click.echo(text(change_cells(changes)))
    for remark in remarks(old, new):
        complain(remark)
    slower = fail_slower and any(change.verdict == "slower" for change in changes)
    lost = fail_srcc is not None and lost_srcc(changes, fail_srcc)
    return int(slower or lost)


@command.command()
@click.argument("results", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE.html", help="Write HTML and PNG.")
@click.option("--markdown", is_flag=True, help="Print the table as Markdown.")
def report(results: Path, out: Path | None, markdown: bool) -> None:
    """Show the last run of a result file: as a page with a plot, as Markdown, or as a table."""
    from crossiqa_edge.bench.rows import latest_run, read
    from crossiqa_edge.bench.tables import result_cells, text

    _check_page(out)
    rows = latest_run(read(results))
    if markdown:
        from crossiqa_edge.bench.report import report_markdown

        click.echo(report_markdown(rows), nl=False)
    else:
        click.echo(text(result_cells(rows)))
    if out is not None:
        _report(rows, out)


@command.command()
@click.option("--model", default="nano", show_default=True, metavar="NAME|FILE")
@click.option("--backend", type=click.Choice([*BACKENDS]), default="onnxruntime", show_default=True)
@click.option(
    "--seconds",
    type=POSITIVE,
    default=2.0,
    show_default=True,
    help="Timing of each point.",
)
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE.png", help="Write a plot.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a Markdown table.")
def scaling(model: str, backend: str, seconds: float, out: Path | None, as_json: bool) -> None:
    """Cost against resolution, batch, views, threads and tokens, beside the law that each should follow."""
    import json

    from crossiqa_edge.bench.scaling import curves, to_markdown

    measured = curves(model, backend, seconds, complain)
    if as_json:
        click.echo(json.dumps([curve.to_dict() for curve in measured], indent=2))
    else:
        click.echo(to_markdown(measured), nl=False)
    if out is not None:
        from crossiqa_edge.atomic import atomic_write
        from crossiqa_edge.bench.figure import scaling_png

        with atomic_write(out) as stream:
            stream.write(scaling_png(measured))
        complain(f"plot written to {out}")


@command.command()
@click.argument("models", nargs=-1, metavar="[NAME|FILE]...")
@click.option(
    "--backend",
    "backends",
    multiple=True,
    type=click.Choice([*BACKENDS]),
    help="Repeat.  [default: all that run here without minutes of compiling]",
)
@click.option(
    "--batch", "batches", multiple=True, type=click.IntRange(min=1), default=(1, 8), show_default=True
)
@click.option("--seconds", type=POSITIVE, default=2.0, show_default=True)
def roofline(
    models: tuple[str, ...], backends: tuple[str, ...], batches: tuple[int, ...], seconds: float
) -> None:
    """Operations of each model against the machine's own peaks, a product and a copy measured here."""
    from crossiqa_edge.bench.point import grid, in_words, open_all
    from crossiqa_edge.bench.roofline_table import measure_roofline
    from crossiqa_edge.bench.tables import markdown

    opened, refused = open_all(grid(models or available(), backends or USUAL_BACKENDS, batches))
    for reason in in_words(refused):
        complain(f"left out: {reason}")
    click.echo(markdown(measure_roofline(opened, seconds)))


@command.command()
@click.option("--model", default="nano", show_default=True, metavar="NAME|FILE")
@click.option("--data", metavar="NAME=PATH", help="Data set to compare on.  [default: the built-in probe]")
@click.option("--limit", type=click.IntRange(min=3), help="Use that many of its pictures, evenly spread.")
@click.option("--seconds", type=POSITIVE, default=5.0, show_default=True)
@click.option(
    "--pyiqa",
    "names",
    multiple=True,
    metavar="NAME",
    help="Also this metric of pyiqa, which may fetch its weights; repeat.",
)
def peers(model: str, data: str | None, limit: int | None, seconds: float, names: tuple[str, ...]) -> None:
    """Our model beside others whose packages are installed: the same pictures, one run.

    Classical metrics have an accuracy and a latency, untrained backbones of about our size a latency alone.
    Metrics that take half a second a picture make it minutes: --limit helps.
    """
    from crossiqa_edge.bench.peers import METRICS, NETWORKS, measure_peers, opened, pyiqa
    from crossiqa_edge.bench.tables import markdown
    from crossiqa_edge.runtime.scorer import Scorer

    ready, absent = opened([*METRICS, *map(pyiqa, names), *NETWORKS])
    for reason in absent:
        complain(f"left out: {reason}")
    ours = Scorer.load(model, backend="onnxruntime")  # which runs the others, too
    click.echo(markdown(measure_peers(ours, judged_pictures(data, limit), seconds, ready)))
