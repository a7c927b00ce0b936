"""A point on the latency/accuracy curve: a model, what runs it, and how pictures reach it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from crossiqa_edge.errors import ArtefactError, BackendError, ConfigError
from crossiqa_edge.runtime.scorer import Scorer, locate


@dataclass(frozen=True, order=True)
class Point:
    """What a user chooses.

    Attributes:
        model: name or path, as ``Scorer.load`` takes it; the precision is the file's.
        backend: key of ``crossiqa_edge.runtime.select.BACKENDS``.
        batch: pictures in one inference.
        sampling: ``fragments`` or ``crops``.
        views: of a picture.
        threads: of one inference; None is the backend's own choice.
    """

    model: str
    backend: str
    batch: int = 1
    sampling: str = "fragments"
    views: int = 1
    threads: int | None = None

    def __str__(self) -> str:
        read = in_views(self.sampling, self.views)
        return f"{self.model} {self.backend} batch {self.batch}, {read}{in_threads(self.threads)}"

    def open(self) -> Scorer:
        """An open model; errors as of ``Scorer.load``."""
        return Scorer.load(
            self.model,
            backend=self.backend,
            sampling=self.sampling,
            views=self.views,
            threads=self.threads,
        )


def in_views(sampling: str, views: int) -> str:
    """How a picture is read, in words: ``crops x 5``, and ``fragments`` where they are one view, as usual."""
    return sampling if (sampling, views) == ("fragments", 1) else f"{sampling} x {views}"


def in_threads(threads: int | None) -> str:
    """How many threads were asked for, in words, after a comma; nothing where the backend chose."""
    return "" if threads is None else f", {threads} thread{'s' * (threads != 1)}"


@dataclass(frozen=True)
class Refused:
    """A point that cannot be measured here, and why."""

    point: Point
    reason: str


def grid(
    models: Sequence[str],
    backends: Sequence[str],
    batches: Sequence[int] = (1,),
    samplings: Sequence[tuple[str, int]] = (("fragments", 1),),
    threads: Sequence[int | None] = (None,),
) -> list[Point]:
    """All combinations; ``samplings`` are (name, views) pairs."""
    combined = product(models, backends, batches, samplings, threads)
    return [Point(model, backend, batch, *how, count) for model, backend, batch, how, count in combined]


def open_all(points: Iterable[Point]) -> tuple[dict[Point, Scorer], list[Refused]]:
    """Open every point that this machine can run; the others come with the reason why not.

    Points that give one model the same number of views at a time share what runs it: the network does not
    see how they were sampled, and each further copy of it takes memory that a small device has not got.

    Raises:
        ConfigError: none can be run.
    """
    opened: dict[Point, Scorer] = {}
    refused: list[Refused] = []
    alike: dict[tuple[str, str, int | None, int], Scorer] = {}
    for point in points:
        kind = (point.model, point.backend, point.threads, point.batch * point.views)
        scorer = _opened(point) if kind not in alike else _sharing(alike[kind], point)
        if isinstance(scorer, Scorer):
            opened[point] = alike[kind] = scorer
        else:
            refused.append(Refused(point, scorer))
    if not opened:
        reasons = "; ".join(in_words(refused)) or "no points were given"
        raise ConfigError(f"nothing can be measured here: {reasons}")
    return opened, refused


def in_words(refused: Iterable[Refused]) -> list[str]:
    """Why points were refused, each reason once: the models that it is about, then the reason itself."""
    models: dict[str, list[str]] = {}
    for item in refused:
        reason = item.reason.removeprefix(f"{locate(item.point.model)}: ")
        models.setdefault(reason, []).append(item.point.model)
    return [f"{', '.join(dict.fromkeys(names))}: {reason}" for reason, names in models.items()]


def _sharing(other: Scorer, point: Point) -> Scorer:
    return Scorer(other.artefact, other.backend, point.sampling, point.views, other.max_pixels)


def _opened(point: Point) -> Scorer | str:
    try:
        return point.open()
    except (ArtefactError, BackendError) as error:
        return str(error)
