"""``crossiqa export``: a model in, an accepted artefact for a runtime out."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crossiqa_edge.cli.console import complain, ended_by_sigterm
from crossiqa_edge.export.original import shipped_original
from crossiqa_edge.export.targets import PRECISIONS, TARGETS, Options, Progress

if TYPE_CHECKING:
    from crossiqa_edge.export.conversion import Outcome, Plan
    from crossiqa_edge.export.quantise import Calibration
    from crossiqa_edge.export.sensitivity import Search

_OPTIONS = Options()  # for their defaults
_VERIFY = "crossiqa verify"


@click.command()
@click.argument("model", metavar="NAME|FILE")
@click.option("--to", default="onnx", show_default=True, metavar="TARGET", help=f"{', '.join(TARGETS)}.")
@click.option(
    "--precision", default="fp32", show_default=True, metavar="PRECISION", help=f"{', '.join(PRECISIONS)}."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The file or folder to make.  [default: named after model and precision, beside a model file]",
)
@click.option(
    "--reference",
    metavar="NAME|FILE",
    help="The float32 model to compare with.  [default: the model, or the shipped one of its weights]",
)
@click.option(
    "--opset",
    type=int,
    help="18 is read by most; 23 has Attention.  [default: that of an ONNX file, 18 for weights]",
)
@click.option(
    "--calibration",
    metavar="METHOD",
    help="How int8 scales are chosen: percentile, mse or entropy.  [default: percentile]",
)
@click.option(
    "--smoothing",
    type=float,
    metavar="0..1",
    help="Strength of scale migration before int8; 0 for none.  [default: 0.5]",
)
@click.option(
    "--search",
    type=float,
    metavar="LOSS",
    help="Try which layers int8 costs at most this much of SRCC, for instance 0.001.",
)
@click.option(
    "--plugin",
    type=click.Choice(["attention"]),
    help="Make attention one node, which a TensorRT plugin computes.",
)
@click.option("--workspace", type=int, metavar="MIB", help="Most memory of the builder.")
@click.option("--dla", type=int, metavar="CORE", help="Build for this deep-learning accelerator.")
@click.option(
    "--compute-capability",
    "compute_capabilities",
    type=int,
    multiple=True,
    metavar="NN",
    help="GPU architecture to build for, such as 86; may be repeated.",
)
@click.option(
    "--hardware-compatible",
    is_flag=True,
    help="One plan for all GPUs from Ampere on, for your own loaders: crossiqa takes the exact GPU only.",
)
@click.option(
    "--version-compatible",
    is_flag=True,
    help="A plan for later minor versions, for your own loaders: crossiqa takes the exact version only.",
)
@click.option("--strip-weights", is_flag=True, help="A plan without weights, refitted when it is loaded.")
@click.option("--opt-batch", type=int, default=_OPTIONS.opt_batch, show_default=True, help="Fastest batch.")
@click.option("--max-batch", type=int, default=_OPTIONS.max_batch, show_default=True, help="Largest batch.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def command(
    model: str,
    to: str,
    precision: str,
    output: Path | None,
    reference: str | None,
    opset: int | None,
    calibration: str | None,
    smoothing: float | None,
    search: float | None,
    plugin: str | None,
    dry_run: bool,
    **built: Any,
) -> None:
    """Export a model for a runtime, in a precision, and prove that it ranks pictures as the original does.

    The model is a shipped name, trained weights (.safetensors), or an ONNX file of ours. What is made takes
    its name only after its scores were compared with the float32 original's on over 200 degraded views.
    """
    from crossiqa_edge.export.conversion import Recipe, convert, plan  # first: it says which extra is missing

    recipe = Recipe(precision, opset, _calibration(calibration, smoothing), search, plugin)
    planned = plan(model, to, output, recipe=recipe, options=Options(**built), reference=reference)
    if planned.original is None:
        card = planned.source.card
        complain(
            f"{planned.source.path}: no float32 original of {card.identity} is known, so what is made is "
            f"compared with this {card.precision} file alone; name the original with --reference"
        )
    if dry_run:
        for number, step in enumerate(planned.steps, 1):
            click.echo(f"{number}. {step}")
        return
    with ended_by_sigterm(), progress_bar() as progress:
        outcome = convert(planned, progress)
    _print(planned, outcome)


def _calibration(method: str | None, smoothing: float | None) -> Calibration | None:
    """What was asked for of a calibration; None where nothing was, so that nothing can be in vain."""
    from crossiqa_edge.export.quantise import Calibration

    if method is None and smoothing is None:
        return None
    usual = Calibration()
    return Calibration(
        usual.method if method is None else method, usual.smoothing if smoothing is None else smoothing
    )


def _print(plan: Plan, outcome: Outcome) -> None:
    card = outcome.card
    click.echo(f"{outcome.path}  ({card.identity}, {plan.target.name} {card.precision}, opset {card.opset})")
    if outcome.search is not None:
        _print_table(outcome.search)
    if outcome.acceptance is not None:
        click.echo(f"  accepted  {outcome.acceptance}")
    if outcome.built is not None:
        label = "not compared here " if isinstance(outcome.built, str) else "accepted "
        click.echo(f"  {label} {outcome.built}")
    click.echo(f"  size      {_size(outcome.path):,} bytes")
    if not plan.target.builder:
        click.echo(f"  sha256    {outcome.graph.sha256}")
    names = {"out": outcome.path, **({"graph": outcome.kept.path} if outcome.kept else {})}
    for line in plan.target.next:
        told = line.format(**{key: shlex.quote(str(path)) for key, path in names.items()})
        click.echo(f"next: {told}{_reference(plan) if line.startswith(_VERIFY) else ''}")


def _reference(plan: Plan) -> str:
    """The option without which ``verify`` does not find the original of weights of somebody's own."""
    if shipped_original(plan.source.card) is not None:
        return ""
    return f" --reference {shlex.quote(str(plan.original.path)) if plan.original else 'ORIGINAL'}"


def _print_table(search: Search) -> None:
    """Cheapest layer first: what int8 costs there alone, and which share of the multiplications it takes."""
    click.echo(f"  {'layer':24} {'share':>6} {'1 - SRCC':>9} {'|difference|':>12}")
    for row in search.layers:
        click.echo(
            f"  {row.name:24} {row.multiplications:6.1%} {row.loss:9.6f} {row.mean_difference:12.3f}"
            f"  {'int8' if row.int8 else 'float'}"
        )
    share = sum(row.multiplications for row in search.layers if row.int8)
    click.echo(
        f"  int8 together: {share:.1%} of the multiplications, 1 - SRCC {search.loss:.6f} "
        f"(allowed {search.limit:g})"
    )


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(
        file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()
    )


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on standard error while somebody watches."""
    if not sys.stderr.isatty():
        yield lambda stage, share=None: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("reading", total=None)

        def show(stage: str, share: float | None = None) -> None:
            bar.update(task, description=stage, total=None if share is None else 1.0, completed=share or 0.0)

        yield show
