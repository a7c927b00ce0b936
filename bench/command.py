"""What the commands of the bench have in common: numbers that end, and errors in one line."""

from __future__ import annotations

import math
from typing import Any

import click

from crossiqa_edge.errors import CrossIQAError


class Finite(click.FloatRange):
    """Numbers of a range without NaN and infinity, which click lets pass.

    Seconds that never end would be measured for ever, and nothing is above a limit that is no number.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


POSITIVE = Finite(min=0, min_open=True)


class Program(click.Command):
    """A ``python -m`` of its own: what cannot be done is one line on stderr and exit code 2.

    So it is with ``crossiqa``; exit code 1 is left to checks that fail.
    """

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except CrossIQAError as error:
            click.echo(f"{context.info_name}: {error}", err=True)
            context.exit(2)
