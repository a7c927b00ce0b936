"""``crossiqa kernels``: compile the kernels of a model ahead of time, for GPUs that are elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crossiqa_edge.card import ModelCard

if TYPE_CHECKING:
    from crossiqa_edge.kernels.aot import Compiled
    from crossiqa_edge.kernels.manifest import PackedKernel

ALL = "all"
DTYPES = ("fp16", "bf16", "fp32")


@click.group()
def command() -> None:
    """Compile a model's kernels ahead of time, or show what a pack of them holds."""


@command.command()
@click.option(
    "--target",
    "targets",
    default=ALL,
    show_default=True,
    metavar="sm_87,…",
    help="GPU generations, separated by commas; `all` is all nine.",
)
@click.option(
    "--model",
    default="nano",
    show_default=True,
    metavar="NAME|FILE",
    help="Whose shapes to compile for: a shipped model, a size of the family, or a model file.",
)
@click.option(
    "--dtype",
    "dtypes",
    type=click.Choice(DTYPES),
    multiple=True,
    default=["fp16"],
    show_default=True,
    help="Element type; may be given several times.",
)
@click.option(
    "--batch",
    "batches",
    type=click.IntRange(min=1),
    multiple=True,
    default=[1, 8],
    show_default=True,
    help="Views in one inference; may be given several times.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PACK",
    help="Where to write.",
)
def build(targets: str, model: str, dtypes: tuple[str, ...], batches: tuple[int, ...], output: Path) -> None:
    """Compile every kernel and tile that a model uses into one file. Needs Triton, but no GPU."""
    from crossiqa_edge.kernels.aot import build_pack
    from crossiqa_edge.kernels.catalogue import specs, workloads
    from crossiqa_edge.kernels.targets import TARGETS, target_named

    names = [target.name for target in TARGETS.values()] if targets == ALL else targets.split(",")
    architectures = [target_named(name.strip()).architecture for name in dict.fromkeys(names)]
    card = _card(model)
    pack = build_pack(card.identity, workloads(card, architectures, dtypes, batches), specs, progress=_tell)
    pack.save(output)
    click.echo(f"{output}  ({card.identity}, Triton {pack.triton})")
    click.echo(f"  kernels  {len(pack.kernels)} for {len(architectures)} targets, {len(pack.uses)} uses")
    click.echo(f"  size     {output.stat().st_size:,} bytes")
    click.echo(f"next: crossiqa kernels show {output}")


@command.command()
@click.argument("pack", type=click.Path(path_type=Path), metavar="PACK")
def show(pack: Path) -> None:
    """List what a pack holds: a line for each name, target, type and batch."""
    from crossiqa_edge.kernels.pack import Pack

    opened = Pack.open(pack)
    click.echo(f"{pack}  ({opened.model}, Triton {opened.triton})")
    click.echo(f"{'kernel':<20} {'target':<7} {'dtype':<5} {'batch':>5}  {_HEADER}")
    for use in opened.uses:
        kernel = opened.kernels[use.kernel]
        click.echo(
            f"{use.name:<20} sm_{use.architecture:<4} {use.dtype:<5} {use.batch:>5}  {_figures(kernel)}"
        )


def _card(model: str) -> ModelCard:
    from crossiqa_edge import weights
    from crossiqa_edge.model.family import FAMILY
    from crossiqa_edge.runtime.artefact import Artefact

    if model in FAMILY and model not in weights.available():
        return ModelCard(model, model)
    return Artefact.open(weights.find(model) if model in weights.available() else model).card


_HEADER = f"{'warps':>5} {'shared':>7} {'registers':>9} {'spilled':>7} {'bytes':>7}"


def _figures(kernel: PackedKernel) -> str:
    return f"{kernel.warps:>5} {kernel.shared:>7} {kernel.registers:>9} {kernel.stack:>7} {kernel.size:>7}"


def _tell(compiled: Compiled) -> None:
    click.echo(f"compiled {compiled.spec.name} for {compiled.target.name}", err=True)
