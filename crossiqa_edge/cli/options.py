"""Options that several verbs share, so that they mean and say the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from crossiqa_edge.imaging.sampling import SAMPLINGS

Command = TypeVar("Command", bound=Callable[..., Any])


def reading_options(command: Command) -> Command:
    """``--sampling``, ``--crops`` and ``--batch``: how pictures reach the model."""
    for option in reversed(
        (
            click.option(
                "--sampling",
                type=click.Choice(SAMPLINGS),
                help="How a picture is read.  [default: as the model]",
            ),
            click.option(
                "--crops",
                type=click.IntRange(min=1),
                default=5,
                show_default=True,
                help="Windows a picture, with --sampling crops.",
            ),
            click.option(
                "--batch",
                type=click.IntRange(min=1),
                default=8,
                show_default=True,
                help="Pictures in one inference.",
            ),
        )
    ):
        command = option(command)
    return command
