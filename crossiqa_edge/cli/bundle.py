"""``crossiqa bundle``: a model, and all that another device needs to run it, in one folder or archive."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crossiqa_edge.cli.console import ended_by_sigterm
from crossiqa_edge.errors import MissingDependencyError

if TYPE_CHECKING:
    from crossiqa_edge.runtime.artefact import Artefact

TARGETS = ("jetson-orin", "jetson-thor", "server")


@click.command()
@click.argument("model", metavar="MODEL")
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    required=True,
    help="What the bundle is for; decides the pinned packages.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8"]),
    help="Export to this precision first, as crossiqa export does.  [default: as MODEL is]",
)
@click.option(
    "--reference",
    metavar="NAME|FILE",
    help="The float32 ONNX file that MODEL was made of, to verify it against on the device.  "
    "[default: the one exported from, else the shipped model of the same weights]",
)
@click.option(
    "--kernels",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Add a pack of kernels that `crossiqa kernels` compiled for the same model.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER|FILE.tar.gz|FILE.zip",
    help="What to write; must not exist.  [default: a folder named after model and target]",
)
def command(
    model: str,
    target: str,
    precision: str | None,
    reference: str | None,
    kernels: Path | None,
    output: Path | None,
) -> None:
    """Pack MODEL with what a device needs to run it and to prove that it does.

    MODEL is a shipped model (see: crossiqa models), an .onnx file that crossiqa export made, or, with
    --precision, trained weights (.safetensors). The bundle holds the graph, its card, the light part of
    this package, pinned requirements without torch, a script that builds the TensorRT engine on the
    device, a self-test that scores pictures and compares with the scores stored here, and the float32
    graph for `crossiqa verify`.
    """
    from crossiqa_edge.runtime.artefact import Artefact
    from crossiqa_edge.runtime.scorer import locate

    try:
        from crossiqa_edge.export.bundle import bundle_name, make_bundle
        from crossiqa_edge.export.bundle_checks import check_parts
        from crossiqa_edge.export.bundle_targets import device_kind
    except ImportError as error:
        raise MissingDependencyError("making a bundle", "export") from error
    kind = device_kind(target)
    given = Artefact.open(locate(model))
    named_original = Artefact.open(locate(reference)) if reference is not None else None
    named = output or Path(bundle_name(given, kind, precision))
    check_parts(given, named, named_original, kernels)  # before the work of exporting
    with ended_by_sigterm(), _in_precision(model, given, precision, named) as (source, exported_from):
        original = named_original or exported_from
        made = make_bundle(source, kind, named, original=original, kernels=kernels)
    click.echo(f"{made}  ({source.card.identity}, {source.card.precision}, for {kind.title})")
    click.echo(f"  made for  {kind.software}; TensorRT {kind.tensorrt}")
    click.echo("next, on the device, in the unpacked folder:")
    click.echo("  python3 -m venv --system-site-packages .venv")
    for step in (
        ("pip", "install", "-r", "requirements.txt"),
        ("python", "selftest.py", "--backend", "onnxruntime"),
        ("python", "build_engine.py"),
        ("python", "selftest.py", "--backend", "tensorrt"),
    ):
        click.echo(f"  .venv/bin/{shlex.join(step)}")


@contextmanager
def _in_precision(
    model: str, source: Artefact, precision: str | None, output: Path
) -> Iterator[tuple[Artefact, Artefact | None]]:
    """``source``, the artefact ``model``, or an accepted export of it in ``precision``, gone afterwards.

    It is made beside ``output``, which errors name.
    With it comes the float32 graph that it was exported from, None where it was not.
    """
    if precision is None or (source.kind == "onnx" and source.card.precision == precision):
        yield source, None
        return
    from crossiqa_edge.cli.export import progress_bar
    from crossiqa_edge.export.conversion import Recipe, convert, plan
    from crossiqa_edge.export.workplace import workplace

    with workplace(output.parent, output) as folder:
        planned = plan(model, "onnx", folder / "model.onnx", recipe=Recipe(precision))
        with progress_bar() as progress:
            if planned.source.kind == "onnx" or precision == "fp32":
                graph, original = convert(planned, progress).graph, planned.source
            else:  # in two steps, for the float32 graph between them
                single = folder / "original.onnx"
                original = convert(plan(planned.source.path, "onnx", single), progress).graph
                graph = convert(replace(planned, source=original, original=original), progress).graph
        yield graph, None if precision == "fp32" else original
