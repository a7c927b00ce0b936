"""What goes to standard error, one line an error and a bar for who watches; and how a run is ended."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar

Item = TypeVar("Item")

MANY = 8  # fewer are done before a bar would be read


def complain(text: str) -> None:
    """One line on standard error, in the program's name."""
    print(f"crossiqa: {text}", file=sys.stderr, flush=True)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Inside, SIGTERM does what Ctrl-C does, so that a service manager's stop loses no result either."""
    with _handling(signal.default_int_handler, signal.SIGTERM):
        yield


@dataclass
class Interruption:
    """Whether Ctrl-C or SIGTERM came."""

    came: bool = False


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[Interruption]:
    """Inside, Ctrl-C and SIGTERM call ``stop`` so that the work comes to its end; a second one interrupts."""
    interruption = Interruption()

    def handle(number: int, frame: FrameType | None) -> None:
        if interruption.came:
            raise KeyboardInterrupt
        interruption.came = True
        stop()

    with _handling(handle, signal.SIGINT, signal.SIGTERM):
        yield interruption


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], Any], *signals: signal.Signals) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield
        return
    before = [signal.signal(number, handler) for number in signals]
    try:
        yield
    finally:
        for number, old in zip(signals, before, strict=True):
            signal.signal(number, old)


def track(items: Iterable[Item], what: str, total: int | None) -> Generator[Item, None, None]:
    """``items``, ``total`` of them or nobody knows how many, with a bar on standard error.

    The bar goes away at the end. There is none where standard error is not a terminal, or for few items.
    Whoever stops early closes the generator (``contextlib.closing``), so that the terminal is given back at
    once.
    """
    if (total is not None and total < MANY) or not sys.stderr.isatty():
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
