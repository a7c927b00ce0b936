"""``crossiqa models``: the models that can be loaded by name, and what their cards say."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from crossiqa_edge import weights
from crossiqa_edge.card import ModelCard
from crossiqa_edge.cli.console import print_table
from crossiqa_edge.runtime.artefact import Artefact

_PIPE_WIDTH = 160  # columns where nobody's terminal says how wide it is


@click.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON list with the whole card of each model.")
def command(as_json: bool) -> None:
    """List the models that come along, with size, training data and measured accuracy."""
    artefacts = [Artefact.open(weights.find(name)) for name in weights.available()]
    if as_json:
        click.echo(json.dumps([_record(artefact) for artefact in artefacts], indent=2))
    elif artefacts:
        _print_table(artefacts)
    else:
        click.echo("No model comes with this installation; give --model a path to an .onnx file.", err=True)


def _record(artefact: Artefact) -> dict[str, Any]:
    return {
        "name": artefact.path.stem,
        "bytes": artefact.size,
        "sha256": artefact.sha256,
        "card": asdict(artefact.card),
    }


def _print_table(artefacts: list[Artefact]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("name", "size", "precision"):
        table.add_column(title, no_wrap=True)
    table.add_column("bytes", justify="right", no_wrap=True)
    table.add_column("training data")
    table.add_column("accuracy")
    for artefact in artefacts:
        card = artefact.card
        cells = [artefact.path.stem, card.size, card.precision, f"{artefact.size:,}"]
        cells += [", ".join(card.training_data) or "-", _accuracy(card) or _nearness(card) or "-"]
        table.add_row(*map(Text, cells))  # Text: square brackets in a card are no markup
    print_table(table, _PIPE_WIDTH)


def _accuracy(card: ModelCard) -> str:
    """Measured figures in words, one data set a line."""
    lines = []
    for data, figures in card.accuracy.items():
        lines.append(f"{data}: " + ", ".join(f"{metric} {value:.3g}" for metric, value in figures.items()))
    return "\n".join(lines)


def _nearness(card: ModelCard) -> str:
    """How near an fp16 or int8 model comes to the float32 one that it was made of."""
    agreement = card.acceptance.get("srcc") if card.precision != "fp32" else None
    return f"as its fp32: srcc {agreement:.5f}" if agreement is not None else ""
