"""Every format in every precision of one model: the table of sizes, speeds and ranks in docs/export.md.

    python -m crossiqa_edge.bench.export_table --model nano --markdown

Each artefact is made as `crossiqa export` makes it, so that it is accepted or the run ends; those that can
run on this machine are then timed in turns. What cannot be made or run here has a row that says why.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from crossiqa_edge.bench.command import POSITIVE, Program
from crossiqa_edge.bench.timing import interleave
from crossiqa_edge.errors import BackendError, MissingDependencyError
from crossiqa_edge.export.acceptance import Acceptance
from crossiqa_edge.export.conversion import Outcome, Recipe, convert, plan
from crossiqa_edge.export.probe import probe_views
from crossiqa_edge.export.targets import TARGETS
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.backend import Backend
from crossiqa_edge.runtime.select import open_backend

BATCHES = (1, 8)


@dataclass
class Row:
    """One target in one precision.

    Attributes:
        target, precision: as ``crossiqa export`` takes them.
        bytes: of what was made; None where it could not be made here.
        acceptance: against the float32 original; None where it was not compared here.
        milliseconds: median a view, by batch; empty where it cannot run here.
        remark: why something is missing.
    """

    target: str
    precision: str
    bytes: int | None = None
    acceptance: Acceptance | None = None
    milliseconds: dict[int, float] | None = None
    remark: str = ""

    @property
    def name(self) -> str:
        return f"{self.target} {self.precision}"


@click.command(cls=Program)
@click.option("--model", default="nano", show_default=True, metavar="NAME|FILE", help="What to export.")
@click.option("--seconds", type=POSITIVE, default=10.0, show_default=True, help="Timing of each candidate.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of one inference.  [default: all]")
@click.option("--markdown", is_flag=True, help="A Markdown table instead of JSON lines.")
def main(model: str, seconds: float, threads: int | None, markdown: bool) -> None:
    """Export, compare and time every target in every precision that makes sense."""
    rows = table(model, seconds=seconds, threads=threads)
    click.echo(as_markdown(rows) if markdown else "\n".join(json.dumps(asdict(row)) for row in rows))


def table(model: str, *, seconds: float, threads: int | None = None) -> list[Row]:
    """The rows, in the order of ``TARGETS``."""
    rows: list[Row] = []
    opened: dict[str, tuple[Row, Backend]] = {}
    with TemporaryDirectory() as folder, ExitStack() as stack:
        for row, backend in _made(model, Path(folder), threads):
            rows.append(row)
            if backend is not None:
                stack.callback(backend.close)
                opened[row.name] = (row, backend)
        graph = Artefact.open(Path(folder, f"{TARGETS['onnx'].name}-fp32.onnx"))
        views = probe_views(graph.card)
        for batch in BATCHES:
            calls = {name: partial(backend.infer, views[:batch]) for name, (_, backend) in opened.items()}
            for name, timing in interleave(calls, seconds=seconds).items():
                figures = opened[name][0].milliseconds or {}
                opened[name][0].milliseconds = {**figures, batch: timing.median / batch}
    return rows


def _made(model: str, folder: Path, threads: int | None) -> Iterator[tuple[Row, Backend | None]]:
    """Each row without its times, and what runs it here."""
    single = folder / "onnx-fp32.onnx"
    for target in TARGETS.values():
        for precision in target.precisions:
            row = Row(target.name, precision)
            output = folder / f"{target.name}-{precision}{target.suffix}"
            # the float32 graph comes first, the other graphs are made of it, and what is built of these
            graph = folder / f"onnx-{precision if target.builder else 'fp32'}.onnx"
            source = graph if graph.is_file() else model
            backend = None
            try:
                original = single if single.is_file() else None  # made first, so only it is without one
                planned = plan(source, target.name, output, recipe=Recipe(precision), reference=original)
                done = convert(planned, _silent)
                _take(row, done)
                if target.suffix and not isinstance(done.built, str):
                    backend = open_backend(Artefact.open(output), target.backend, threads=threads)
            except (BackendError, MissingDependencyError) as error:
                row.remark = str(error)
            yield row, backend


def _take(row: Row, done: Outcome) -> None:
    files = [done.path] if done.path.is_file() else [file for file in done.path.rglob("*") if file.is_file()]
    row.bytes = sum(file.stat().st_size for file in files)
    if isinstance(done.built, str):
        row.remark = done.built
    else:
        row.acceptance = done.built or done.acceptance


def as_markdown(rows: list[Row]) -> str:
    """The table; sizes are also given relative to the float32 ONNX file."""
    single = next(row.bytes for row in rows if row.name == "onnx fp32")
    assert single is not None
    head = ["to", "precision", "MB", "of fp32", *(f"ms a view, batch {batch}" for batch in BATCHES)]
    head += ["SRCC", "KRCC", "max", "mean", "pairs flipped", "remark"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        size = ["-", "-"] if row.bytes is None else [f"{row.bytes / 1e6:.2f}", f"{row.bytes / single:.3f}"]
        times = [f"{row.milliseconds[batch]:.2f}" if row.milliseconds else "-" for batch in BATCHES]
        lines.append([row.target, row.precision, *size, *times, *_agreement(row.acceptance), row.remark])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _agreement(found: Acceptance | None) -> list[str]:
    if found is None:
        return ["-"] * 5
    return [
        f"{found.srcc:.5f}",
        f"{found.krcc:.4f}",
        f"{found.max_difference:.2g}",
        f"{found.mean_difference:.2g}",
        f"{found.flipped_pairs:.2%}",
    ]


def _silent(stage: str, share: float | None = None) -> None:
    pass


if __name__ == "__main__":
    main()
