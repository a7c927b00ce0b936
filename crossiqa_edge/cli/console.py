"""What goes to standard error: one line an error, and a progress bar where a person is watching."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")

MANY = 8  # fewer are done before a bar would be read


def complain(text: str) -> None:
    """One line on standard error, in the program's name."""
    print(f"crossiqa: {text}", file=sys.stderr, flush=True)


def track(items: Iterable[Item], what: str, total: int) -> Generator[Item, None, None]:
    """``items``, with a bar on standard error that goes away at the end.

    There is no bar where standard error is not a terminal, or for few items. Whoever stops early
    closes the generator (``contextlib.closing``), so that the terminal is given back at once.
    """
    if total < MANY or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(what, total=total)
        for item in items:
            yield item
            bar.advance(task)
