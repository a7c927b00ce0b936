"""Results as rows for people: readable at 80 columns, plain when it does not go to a terminal."""

from __future__ import annotations

import os
import shutil
from typing import TextIO

import click

from crossiqa_edge.report.result import ClipResult, Result
from crossiqa_edge.score import Score, quality_word
from crossiqa_edge.video.pooling import Pooled
from crossiqa_edge.video.report import VideoReport
from crossiqa_edge.video.results import FrameScore, GapEvent

_COLOURS = {"excellent": "cyan", "good": "green", "fair": "yellow", "poor": "magenta", "bad": "red"}
_BAR = 10  # characters from 0 to 100
_HEADER = f" score  quality    {'0':<{_BAR - 3}}100  interval      ms  file"
_RANKED_HEADER = _HEADER.replace("      ms", "  beats      ms")  # where the model has a reference set
_CLIP_HEADER = f"{{:>6}}  quality    {'0':<{_BAR - 3}}100      p5   worst  frames  file"
_METHOD_WORDS = {"harmonic-mean": "h.mean", "worst-window": "window", "shots": "shots"}


class TableWriter:
    """One row a scored picture or clip, as soon as it is there. Failed ones have no row: they go to stderr.

    The name comes last, so that no name, however long, moves a column. Where pictures and clips alternate,
    so do the headers.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._colour = self._terminal and "NO_COLOR" not in os.environ  # https://no-color.org
        self._blocks = "▏▎▍▌▋▊▉█" if (stream.encoding or "").lower().startswith("utf") else "#"
        self._header = ""
        self._reference = ""  # what the column "beats" is about

    def write(self, result: Result | ClipResult) -> None:
        """Print the row of ``result``, before the first one the header."""
        if isinstance(result, Result) and result.score is not None:
            self._picture(result.path, result.score)
        elif isinstance(result, ClipResult) and result.report is not None and result.report.pooled:
            self._clip(result.report, result.report.pooled)

    def frame(self, path: str, event: FrameScore | GapEvent) -> None:
        """Nothing: a clip has one row."""

    def close(self) -> None:
        """Hand the last rows on; on a terminal, first say what the column ``beats`` is about."""
        if self._reference and self._terminal:
            self._line(self._paint(f"beats: better than this share of {self._reference}", None))
        self._stream.flush()

    def _picture(self, path: str, score: Score) -> None:
        ranked = score.percentile is not None
        self._reference = score.reference if ranked else ""
        self._under(_RANKED_HEADER if ranked else _HEADER)
        interval = "" if score.interval is None else "{:.0f}-{:.0f}".format(*score.interval)
        beats = f"{score.percentile:4.0f}%  " if ranked else ""
        remark = f"  ({', '.join(score.flags)})" if score.flags else ""
        self._line(
            f"{score.value:6.1f}  {self._verdict(score.value)}  {interval:>8}  {beats}"
            f"{sum(score.timings.values()):6.1f}  {self._name(path, len(remark))}{self._paint(remark, None)}"
        )

    def _clip(self, report: VideoReport, pooled: Pooled) -> None:
        method = report.pooling.method
        self._under(_CLIP_HEADER.format(_METHOD_WORDS.get(method, method)))
        remarks = [f"{count} {flag}" for flag, count in report.flag_counts().items()]
        remarks += [f"{len(report.gaps)} gaps"] * bool(report.gaps)
        remarks += ["interlaced"] * bool(report.source.get("interlaced"))
        remark = f"  ({', '.join(remarks)})" if remarks else ""
        self._line(
            f"{pooled.score:6.1f}  {self._verdict(pooled.score)}  {pooled.p5:6.1f}  "
            f"{pooled.worst_window.mean:6.1f}  {int(report.scored.sum()):6d}  "
            f"{self._name(report.path, len(remark))}{self._paint(remark, None)}"
        )

    def _under(self, header: str) -> None:
        if header != self._header:
            self._header = header
            self._line(self._paint(header, None))

    def _line(self, text: str) -> None:
        print(text, file=self._stream, flush=self._terminal)

    def _verdict(self, value: float) -> str:
        word = quality_word(value)
        return self._paint(f"{word:<9}  {self._bar(value):<{_BAR}}", _COLOURS[word])

    def _bar(self, value: float) -> str:
        steps = len(self._blocks)
        whole, rest = divmod(round(value / 100 * _BAR * steps), steps)
        return self._blocks[-1] * whole + (self._blocks[rest - 1] if rest else "")

    def _name(self, path: str, taken: int = 0) -> str:
        """On a terminal the end of a path too long for the line; elsewhere all of it."""
        name = "(standard input)" if path == "-" else path
        room = max(shutil.get_terminal_size().columns - self._header.index("file") - taken, 12)
        return name if not self._terminal or len(name) <= room else f"…{name[1 - room :]}"

    def _paint(self, text: str, colour: str | None) -> str:
        """``text`` in ``colour``, or faint for None; as it is where colours are not wanted."""
        return click.style(text, fg=colour, dim=True if colour is None else None) if self._colour else text
