"""``Result``: one picture that was asked for, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crossiqa_edge.errors import InputError
from crossiqa_edge.score import Score


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


def worst_first(results: list[Result]) -> list[Result]:
    """``results`` by rising score; those without a Score last, in the order given."""
    return sorted(results, key=lambda result: 101.0 if result.score is None else result.score.value)
