"""``Result`` and ``ClipResult``: a picture or a clip that was asked for, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from crossiqa_edge.errors import InputError
from crossiqa_edge.score import Score
from crossiqa_edge.video.report import VideoReport


@dataclass(frozen=True, slots=True)
class Result:
    """One picture's outcome.

    Attributes:
        path: how the user named it: a path, or ``-`` for standard input; one printable line.
        source: path or bytes to read it from again; None where there was nothing to read.
        outcome: its Score, or the error that stood in the way.
    """

    path: str
    source: str | bytes | None
    outcome: Score | InputError

    @property
    def score(self) -> Score | None:
        """The Score, or None where scoring failed."""
        return self.outcome if isinstance(self.outcome, Score) else None

    @property
    def value(self) -> float | None:
        """The Score's value; None where scoring failed."""
        return None if self.score is None else self.score.value

    @property
    def error(self) -> str | None:
        """Why there is no Score, in one line that does not repeat the path; None where there is one."""
        if isinstance(self.outcome, Score):
            return None
        return str(self.outcome).removeprefix("<bytes>: ").removeprefix(f"{self.path}: ")

    def to_dict(self) -> dict[str, Any]:
        """``path`` and the keys of the Score, or ``path`` and ``error``: the object of docs/score.md."""
        if isinstance(self.outcome, Score):
            return {"path": self.path, **self.outcome.to_dict()}
        return {"path": self.path, "error": self.error}


@dataclass(frozen=True, slots=True)
class ClipResult:
    """One clip's outcome.

    Attributes:
        path: as in ``Result``, without credentials.
        source: what opens it again; None where it cannot be read twice.
        outcome: what was found out, perhaps not to its end, or the error that let nothing be scored.
    """

    path: str
    source: str | None
    outcome: VideoReport | InputError

    @property
    def report(self) -> VideoReport | None:
        """What was found out; None where nothing was."""
        return self.outcome if isinstance(self.outcome, VideoReport) else None

    @property
    def value(self) -> float | None:
        """The pooled score; None without a scored frame."""
        pooled = None if self.report is None else self.report.pooled
        return None if pooled is None else pooled.score

    @property
    def error(self) -> str | None:
        """Why it was not scored, or not whole, in one line that does not repeat the path; else None."""
        if isinstance(self.outcome, VideoReport):
            return self.outcome.shortfall
        return str(self.outcome).removeprefix(f"{self.path}: ")

    def to_dict(self) -> dict[str, Any]:
        """The document of docs/video.md, or ``path`` and ``error``."""
        if isinstance(self.outcome, VideoReport):
            return self.outcome.to_dict()
        return {"path": self.path, "error": self.error}


Outcome = TypeVar("Outcome", bound=Result | ClipResult)


def worst_first(results: Sequence[Outcome]) -> list[Outcome]:
    """``results`` by rising score; those without a score last, in the order given."""
    return sorted(results, key=lambda result: 101.0 if result.value is None else result.value)
