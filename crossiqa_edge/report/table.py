"""Results as rows for people: readable at 80 columns, plain when it does not go to a terminal."""

from __future__ import annotations

import os
import shutil
from typing import TextIO

import click

from crossiqa_edge.report.result import Result
from crossiqa_edge.score import Score

_COLOURS = {"excellent": "cyan", "good": "green", "fair": "yellow", "poor": "magenta", "bad": "red"}
_BAR = 10  # characters from 0 to 100
_HEADER = f" score  quality    {'0':<{_BAR - 3}}100  interval      ms  file"
_NAME_COLUMN = _HEADER.index("file")


class TableWriter:
    """One row a scored picture, as soon as it is there. Failed pictures have no row: they go to stderr.

    The name comes last, so that no name, however long, moves a column.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._colour = self._terminal and "NO_COLOR" not in os.environ  # https://no-color.org
        self._blocks = "▏▎▍▌▋▊▉█" if (stream.encoding or "").lower().startswith("utf") else "#"
        self._begun = False

    def write(self, result: Result) -> None:
        """Print the row of ``result``, before the first one the header."""
        if result.score is None:
            return
        if not self._begun:
            self._begun = True
            self._line(self._paint(_HEADER, None))
        score = result.score
        interval = "" if score.interval is None else "{:.0f}-{:.0f}".format(*score.interval)
        self._line(
            f"{score.value:6.1f}  {self._verdict(score)}  {interval:>8}  "
            f"{sum(score.timings.values()):6.1f}  {self._name(result.path)}"
        )

    def close(self) -> None:
        """Hand the last rows on."""
        self._stream.flush()

    def _line(self, text: str) -> None:
        print(text, file=self._stream, flush=self._terminal)

    def _verdict(self, score: Score) -> str:
        return self._paint(f"{score.word:<9}  {self._bar(score.value):<{_BAR}}", _COLOURS[score.word])

    def _bar(self, value: float) -> str:
        steps = len(self._blocks)
        whole, rest = divmod(round(value / 100 * _BAR * steps), steps)
        return self._blocks[-1] * whole + (self._blocks[rest - 1] if rest else "")

    def _name(self, path: str) -> str:
        """On a terminal the end of a path too long for the line; elsewhere all of it."""
        name = "(standard input)" if path == "-" else path
        room = max(shutil.get_terminal_size().columns - _NAME_COLUMN, 12)
        return name if not self._terminal or len(name) <= room else f"…{name[1 - room :]}"

    def _paint(self, text: str, colour: str | None) -> str:
        """``text`` in ``colour``, or faint for None; as it is where colours are not wanted."""
        return click.style(text, fg=colour, dim=True if colour is None else None) if self._colour else text
