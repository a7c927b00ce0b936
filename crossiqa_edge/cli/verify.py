"""``crossiqa verify``: on the device that will score, does an artefact still rank as its original does?"""

from __future__ import annotations

import json

import click

from crossiqa_edge.cli.console import complain
from crossiqa_edge.errors import ArtefactError, MissingDependencyError
from crossiqa_edge.export.original import named_original, open_original, shipped_original
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.scorer import locate
from crossiqa_edge.runtime.select import AUTO, BACKENDS, open_backend


@click.command()
@click.argument("model", metavar="NAME|FILE")
@click.option(
    "--reference",
    metavar="NAME|FILE",
    help="The float32 ONNX file or weights to compare with.  [default: the shipped model of its weights]",
)
@click.option(
    "--backend",
    type=click.Choice([AUTO, *BACKENDS]),
    default=AUTO,
    show_default=True,
    help="What runs the artefact; the original is run by onnxruntime, bare weights by torch.",
)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of one inference.  [default: all]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(model: str, reference: str | None, backend: str, threads: int | None, as_json: bool) -> int:
    """Repeat the acceptance of an export on this machine, through the backend that will run it here.

    Both are given the same views under every degradation at every level. Exit code 1 where a limit does not
    hold.
    """
    artefact = Artefact.open(locate(model))
    original = named_original(reference, artefact) if reference else _shipped(artefact)
    try:
        from crossiqa_edge.export.acceptance import LIMITS, accept
    except ImportError as error:  # SciPy, which degrades the views
        raise MissingDependencyError("degrading pictures to verify on", "export") from error

    expected = open_original(original, threads)
    candidate = open_backend(artefact, backend, threads=threads)
    precision = artefact.card.precision
    on_gpu = candidate.device != "cpu" and precision == "fp32"  # where factors may be rounded to ten bits
    found = accept(candidate.infer, expected.infer, artefact.card, LIMITS["fp16" if on_gpu else precision])
    if as_json:
        facts = {"model": str(artefact.path), "backend": candidate.describe, **found.to_dict()}
        click.echo(json.dumps(facts, indent=2))
    else:
        click.echo(f"{artefact.path}  ({artefact.card.identity}) on {candidate.describe}")
        click.echo(f"  against   {original.path} on {expected.describe}")
        click.echo(f"  {'accepted' if found.passed else 'refused '}  {found}")
        for name, difference in found.worst:
            click.echo(f"  furthest  {name}: {difference:.3g} points")
    for failure in found.failures:
        complain(f"{artefact.path}: {failure}")
    return 0 if found.passed else 1


def _shipped(artefact: Artefact) -> Artefact:
    """The shipped float32 graph of the same weights."""
    shipped = shipped_original(artefact.card)
    if shipped is not None:
        return shipped
    raise ArtefactError(
        f"{artefact.path}: no shipped model has its weights ({artefact.card.identity}); "
        "give the float32 graph or the weights it was made from with --reference"
    )
