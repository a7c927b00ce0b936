"""What a person sees of a long run: a bar on a terminal, a line now and then elsewhere. On stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from crossiqa_edge.training.recipe import Recipe

_LINE_SECONDS = 30.0


class StepProgress:
    """Steps done, images/s, time left and the latest losses."""

    def __init__(self, recipe: Recipe, done: int, views_per_item: int, *, shown: bool) -> None:
        self.recipe, self.done, self.first = recipe, done, done
        self.views = views_per_item * recipe.batch
        self.shown = shown
        self.console = Console(file=sys.stderr)
        self.bar = Progress(
            TextColumn(recipe.name),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
            console=self.console,
            disable=not (shown and self.console.is_terminal),
        )
        self.task = self.bar.add_task("", total=recipe.steps, completed=done, rate="", losses="")

    def __enter__(self) -> StepProgress:
        self.bar.start()
        self.began = self.line_at = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def advance(self, losses: Mapping[str, float]) -> None:
        """One more step is done, with these losses."""
        self.done += 1
        now = time.monotonic()
        steps_per_second = (self.done - self.first) / max(now - self.began, 1e-9)
        rate = f"{steps_per_second * self.views:.0f} images/s"
        text = " ".join(f"{name} {value:.4f}" for name, value in losses.items())
        self.bar.update(self.task, completed=self.done, rate=rate, losses=text)
        if self.shown and not self.console.is_terminal and now - self.line_at > _LINE_SECONDS:
            self.line_at = now
            minutes = (self.recipe.steps - self.done) / steps_per_second / 60.0
            self._line(f"step {self.done}/{self.recipe.steps}, {rate}, {minutes:.0f} min left, {text}")

    def note(self, figures: Mapping[str, float], step: int) -> Mapping[str, float]:
        """Print the figures of an epoch's report, and hand them on."""
        if self.shown and figures:
            self._line(f"step {step}: " + ", ".join(f"{name} {value:.4f}" for name, value in figures.items()))
        return figures

    def _line(self, text: str) -> None:
        self.console.print(f"{self.recipe.name}: {text}", highlight=False, soft_wrap=True)
