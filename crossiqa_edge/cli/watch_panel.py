"""The panel that ``crossiqa watch`` keeps up to date on a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import islice

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.panel import Panel as Frame
from rich.table import Table
from rich.text import Text

from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.score import quality_word
from crossiqa_edge.video.frames import SourceFacts
from crossiqa_edge.video.pooling import timecode
from crossiqa_edge.video.rolling import Rolling

COLOURS = {"excellent": "cyan", "good": "green", "fair": "yellow", "poor": "magenta", "bad": "red"}
_BLOCKS = "▁▂▃▄▅▆▇█"
_BAR = 30  # characters from 0 to 100


class Panel:
    """Renders what ``rolling`` holds at the moment it is asked; rich asks some times a second.

    It asks from a thread of its own, while results come: what grows is copied in one step before it is used.
    """

    def __init__(self, facts: SourceFacts, rolling: Rolling, scorer: Scorer) -> None:
        self._facts = facts
        self._rolling = rolling
        self._model = f"{scorer.card.identity}, {scorer.backend.describe}"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        width = min(options.max_width, 100)
        body = Table.grid(padding=(0, 2))
        for label, figures in self._rows(width - 20):
            body.add_row(Text(label, style="dim"), figures)
        title = Text(self._facts.name, style="bold", overflow="ellipsis", no_wrap=True)
        yield Frame(body, title=title, subtitle=Text(self._model, style="dim"), box=box.ROUNDED, width=width)

    def _rows(self, room: int) -> Iterator[tuple[str, Text]]:
        rolling = self._rolling
        yield "now", self._now()
        yield "last minute", curve(islice(reversed(tuple(rolling.history)), room))
        low = rolling.low
        where = "" if low is None else f" at {timecode(low.pts)}"
        yield "1 s mean", Text.assemble(scored(rolling.second_mean), "   mean ", scored(rolling.mean))
        yield "lowest", Text.assemble(scored(None if low is None else low.score), where)
        rate = "-" if rolling.fps is None else f"{rolling.fps:.1f}"
        lost = f"   gaps {rolling.gaps} ({rolling.gap_seconds:.1f} s)" if rolling.gaps else ""
        flags = "".join(f"   {flag} {count}" for flag, count in dict(rolling.flags).items())
        yield "frames/s", Text(f"{rate}   frames {rolling.frames}   dropped {rolling.dropped}{lost}{flags}")
        yield "latency", Text(f"p50 {_ms(rolling.latency(50))}   p95 {_ms(rolling.latency(95))}")

    def _now(self) -> Text:
        current = self._rolling.current
        if current is None:
            return Text("waiting for the first frame", style="dim")
        moment = f"   {timecode(current.pts)}"
        if current.score is None:
            return Text(", ".join(current.flags) + moment)
        filled = round(current.score / 100 * _BAR)
        bar = Text("█" * filled, style=COLOURS[quality_word(current.score)])
        return Text.assemble(
            scored(current.score), "  ", bar, ("░" * (_BAR - filled), "dim"), (moment, "dim")
        )


def scored(value: float | None) -> Text:
    """A score with its word, in the word's colour; a dash for None."""
    if value is None:
        return Text("-")
    word = quality_word(value)
    return Text(f"{value:5.1f} {word}", style=COLOURS[word])


def curve(newest_first: Iterable[float]) -> Text:
    """Scores 0..100 as a row of blocks, the oldest on the left; a dot where there is none (NaN)."""
    line = Text()
    for value in reversed(list(newest_first)):
        if math.isnan(value):
            line.append("·", style="dim")
        else:
            height = min(int(value / 100 * len(_BLOCKS)), len(_BLOCKS) - 1)
            line.append(_BLOCKS[height], style=COLOURS[quality_word(value)])
    return line


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
