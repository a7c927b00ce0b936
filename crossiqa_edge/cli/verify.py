"""``crossiqa verify``: on the device that will score, does an artefact still rank as its original does?"""

from __future__ import annotations

import json

import click

from crossiqa_edge import weights
from crossiqa_edge.cli.console import complain
from crossiqa_edge.errors import ArtefactError, MissingDependencyError
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.scorer import locate
from crossiqa_edge.runtime.select import AUTO, BACKENDS, open_backend


@click.command()
@click.argument("model", metavar="NAME|FILE")
@click.option(
    "--reference",
    metavar="NAME|FILE",
    help="The float32 ONNX file to compare with.  [default: the shipped model of the same weights]",
)
@click.option(
    "--backend",
    type=click.Choice([AUTO, *BACKENDS]),
    default=AUTO,
    show_default=True,
    help="What runs the artefact; the original is run by onnxruntime.",
)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of one inference.  [default: all]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(model: str, reference: str | None, backend: str, threads: int | None, as_json: bool) -> int:
    """Repeat the acceptance of an export on this machine, through the backend that will run it here.

    Both are given the same views under every degradation at every level. Exit code 1 where a limit does not
    hold.
    """
    artefact = Artefact.open(locate(model))
    original = Artefact.open(locate(reference)) if reference else _shipped(artefact)
    if original.card.precision != "fp32":
        raise ArtefactError(f"{original.path}: {original.card.precision}; --reference takes a float32 graph")
    if original.card.weights_sha256 != artefact.card.weights_sha256:
        raise ArtefactError(
            f"{original.path}: holds {original.card.identity}, but {artefact.path} was made of "
            f"{artefact.card.identity}; give the original with --reference"
        )
    try:
        from crossiqa_edge.export.acceptance import LIMITS, accept
    except ImportError as error:  # SciPy, which degrades the views
        raise MissingDependencyError("degrading pictures to verify on", "export") from error

    expected = open_backend(original, "onnxruntime", threads=threads)
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
    for name in weights.available():
        shipped = Artefact.open(weights.find(name))
        if shipped.card.weights_sha256 == artefact.card.weights_sha256 and shipped.card.precision == "fp32":
            return shipped
    raise ArtefactError(
        f"{artefact.path}: no shipped model has its weights ({artefact.card.identity}); "
        "give the float32 graph it was made from with --reference"
    )
