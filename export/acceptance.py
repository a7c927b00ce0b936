"""Does an export still rank pictures as the float32 original does? Measured before it is announced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import cycle
from typing import Any

import numpy as np
import numpy.typing as npt

from crossiqa_edge.card import ModelCard
from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.export.probe import probe_names, probe_views
from crossiqa_edge.imaging.sampling import Views
from crossiqa_edge.runtime.backend import Scores
from crossiqa_edge.training.metrics import krcc, srcc

Infer = Callable[[Views], Scores]  # uint8 (V, S, S, 3) -> float32 (V,), 0..100

BITS = {"fp32": 32, "fp16": 16, "int8": 8}
BATCHES = (1, 2, 5, 16)  # one, the least that is more than one, an odd one, and one for speed
_WORST = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """What an export may differ by, in points of 0..100; a figure that is None is not judged."""

    max_difference: float | None = None
    mean_difference: float | None = None
    srcc: float | None = None


# fp32: sums in another order move the score of a depth-12 network by about 1e-4 points; a wrong constant or
# a missing layer by more than 1. The others bound what a user would notice: half a point anywhere with
# fp16, one point on average with int8, and hardly any change of order.
LIMITS = {
    "fp32": Limits(max_difference=0.01),
    "fp16": Limits(max_difference=0.5, srcc=0.9995),
    "int8": Limits(mean_difference=1.0, srcc=0.995),
}


@dataclass(frozen=True, slots=True)
class Acceptance:
    """How near an export came to its float32 original, or to what it was compared with for want of that.

    Attributes:
        views: number of probe views.
        srcc, krcc: rank agreement of the scores, NaN where all scores are equal.
        max_difference, mean_difference: of the scores, in points of 0..100.
        flipped_pairs: share of all pairs of views whose order is reversed.
        spread: standard deviation of the original's scores, in points; ranks mean little where it is small.
        limits: what was allowed.
        worst: the views that differ most, with their difference.
        against: precision of the graph it was compared with: ``fp32``, or that of a source whose original
            nobody knows.
    """

    views: int
    srcc: float
    krcc: float
    max_difference: float
    mean_difference: float
    flipped_pairs: float
    spread: float
    limits: Limits
    worst: tuple[tuple[str, float], ...] = ()
    against: str = "fp32"

    @property
    def original(self) -> str:
        """What it was compared with, in words."""
        return "the float32 original" if self.against == "fp32" else f"the {self.against} source alone"

    @property
    def failures(self) -> tuple[str, ...]:
        """Every limit that does not hold, in words; none where the export is accepted."""
        limits = self.limits
        told = []
        if limits.max_difference is not None and not self.max_difference <= limits.max_difference:
            told.append(f"a score differs by {self.max_difference:.3g}, allowed {limits.max_difference:g}")
        if limits.mean_difference is not None and not self.mean_difference <= limits.mean_difference:
            told.append(
                f"scores differ by {self.mean_difference:.3g} on average, allowed {limits.mean_difference:g}"
            )
        if limits.srcc is not None and not self.srcc >= limits.srcc:  # also where it is NaN
            told.append(f"SRCC {self.srcc:.5f}, at least {limits.srcc:g} needed")
        return tuple(told)

    @property
    def passed(self) -> bool:
        return not self.failures

    def __str__(self) -> str:
        return (
            f"{self.views} views: SRCC {self.srcc:.5f}, KRCC {self.krcc:.4f}, scores differ by at most "
            f"{self.max_difference:.2g} and by {self.mean_difference:.2g} on average, "
            f"{self.flipped_pairs:.2%} of pairs in another order"
            + ("" if self.against == "fp32" else f"; against {self.original}")
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, as the model card keeps it; figures that do not exist are None.

        ``reference_bits`` is 32 where it was compared with the float32 original. A card's acceptance holds
        figures only, so that a text would make a file that earlier versions refuse.
        """
        figures = {
            name: _rounded(getattr(self, name))
            for name in ("srcc", "krcc", "max_difference", "mean_difference", "flipped_pairs", "spread")
        }
        limits = {name: value for name, value in asdict(self.limits).items() if value is not None}
        facts = {"passed": self.passed, "views": self.views, "reference_bits": BITS[self.against]}
        return {**facts, **figures, "limits": limits}


def accept(
    candidate: Infer, reference: Infer, card: ModelCard, limits: Limits, *, against: str = "fp32"
) -> Acceptance:
    """Compare two ways to score on ``probe_views``; whether it passed is for the caller to ask.

    Args:
        candidate: the export; it is given batches of several sizes.
        reference: the float32 original.
        card: gives size and sampling of the views.
        limits: what is allowed, usually ``LIMITS[precision]``.
        against: precision of ``reference``, where that is not the original.
    """
    views = probe_views(card)
    found = compare(scores_of(candidate, views), scores_of(reference, views), limits, probe_names())
    return replace(found, against=against)


def require(acceptance: Acceptance, name: str) -> None:
    """Raise ArtefactError, with every limit that does not hold, unless the export passed."""
    if not acceptance.passed:
        raise ArtefactError(
            f"{name}: not accepted against {acceptance.original} ({'; '.join(acceptance.failures)}); "
            "nothing was written"
        )


def compare(given: Scores, expected: Scores, limits: Limits, names: tuple[str, ...] = ()) -> Acceptance:
    """The figures of two sets of scores, float (N,) each, of the same views.

    Raises:
        ArtefactError: a score is not finite.
    """
    x, y = given.astype(np.float64), expected.astype(np.float64)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ArtefactError("a score is not finite; nothing was written")
    difference = np.abs(x - y)
    worst = np.argsort(-difference, kind="stable")[:_WORST]
    return Acceptance(
        views=len(x),
        srcc=srcc(x, y),
        krcc=krcc(x, y),
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        flipped_pairs=_flipped(x, y),
        spread=float(y.std()),
        limits=limits,
        worst=tuple((names[index], float(difference[index])) for index in worst) if names else (),
    )


def scores_of(infer: Infer, views: Views) -> Scores:
    """Scores of all ``views``, in batches of every size in ``BATCHES``."""
    return np.concatenate([infer(batch) for batch in _batches(views)])


def _flipped(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    """Share of pairs with x_i < x_j but y_i > y_j."""
    order = np.sign(x[:, None] - x[None]) * np.sign(y[:, None] - y[None])
    pairs = len(x) * (len(x) - 1)
    return float((order < 0).sum() / pairs) if pairs else 0.0


def _batches(views: Views) -> Iterator[Views]:
    start = 0
    for size in cycle(BATCHES):
        if start >= len(views):
            return
        yield views[start : start + size]
        start += size


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 6)
