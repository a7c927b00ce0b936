"""``crossiqa export``: trained weights in, a verified ONNX file out."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from crossiqa_edge.errors import ConfigError


@click.command()
@click.argument("weights", type=click.Path(path_type=Path), metavar="WEIGHTS.safetensors")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.onnx",
    help="Where to write.  [default: beside the weights]",
)
def command(weights: Path, output: Path | None) -> None:
    """Turn trained weights into an ONNX file that gives the same scores.

    The file appears only after onnxruntime has been seen to agree with the network on degraded pictures.
    """
    output = weights.with_suffix(".onnx") if output is None else output
    if output.resolve() == weights.resolve():
        raise ConfigError(f"{output}: this would overwrite the weights; give another name with -o")
    from crossiqa_edge.export.onnx import export_onnx  # first: it says which extra is missing
    from crossiqa_edge.model.checkpoint import load

    artefact, figures = export_onnx(*load(weights), output)
    click.echo(f"{artefact.path}  ({artefact.card.identity}, opset {artefact.card.opset})")
    click.echo(f"  compared  {figures}")
    click.echo(f"  sha256    {artefact.sha256}")
    click.echo(f"  size      {artefact.size:,} bytes")
    click.echo(f"next: crossiqa score --model {shlex.quote(str(artefact.path))} PHOTO")
