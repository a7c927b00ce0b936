"""Where output goes: one line an error and a bar on standard error, tables on standard output; and how a
run is ended.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.console import RenderableType

Item = TypeVar("Item")

MANY = 8  # fewer are done before a bar would be read


def complain(text: str) -> None:
    """One line on standard error, in the program's name; it may be lost, which ends no run."""
    with suppress(OSError, ValueError):
        print(f"crossiqa: {text}", file=sys.stderr, flush=True)


def furnish_streams() -> None:
    """Make the standard streams such that a run does not depend on who holds their other ends.

    Those that were closed become the null device, before a file is opened that would get their numbers;
    ``sys.stdin`` stays None, which tells those who want to read it. What standard error cannot take is lost.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            _occupy(number, name)
    if isinstance(sys.stderr, io.TextIOWrapper) and sys.stderr is sys.__stderr__:  # no test's, no caller's
        sys.stderr = _lossy(sys.stderr)


def _occupy(number: int, name: str) -> None:
    """The null device in place of a closed stream; it gets its number as those below it are taken."""
    descriptor = os.open(os.devnull, os.O_RDONLY if name == "stdin" else os.O_WRONLY)
    if descriptor == number:
        os.set_inheritable(descriptor, True)  # as every standard stream, or a program started here lacks it
    if name != "stdin":
        setattr(sys, name, os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace"))


class _LossyFile(io.FileIO):
    """A file that takes whatever is written; it is lost where the reader has gone or the disk is full."""

    def write(self, data: Any, /) -> int:
        with suppress(OSError):
            written = super().write(data)
            if written is not None:
                return written
        return len(data)


def _lossy(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """``stream`` once more, as a stream on which printing never fails, not even as the interpreter ends."""
    file = io.BufferedWriter(_LossyFile(stream.fileno(), "w", closefd=False))
    return io.TextIOWrapper(
        file,
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=True,
        write_through=stream.write_through,
    )


def print_table(table: RenderableType, pipe_width: int) -> None:
    """Print a table, as wide as the terminal, or ``pipe_width`` columns where nobody's says how wide it is.

    Raises:
        BrokenPipeError: the reader has gone, of which rich itself would make an exit code of 1.
    """
    from rich.console import Console

    class Piped(Console):
        def on_broken_pipe(self) -> None:
            raise  # the error that rich is handling as it calls this

    Piped(width=None if sys.stdout.isatty() else pipe_width).print(table)


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
