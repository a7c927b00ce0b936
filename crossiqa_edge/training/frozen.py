"""A new head on a frozen encoder, from a few hundred opinions.

The head is a ridge regression that shrinks towards the head it starts from, not towards zero: first the
start's own output is fitted to the opinions by a straight line, then the ridge explains what is left. So a
handful of opinions rescales the start, and many replace it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from crossiqa_edge.data.datasets.base import QualitySet
from crossiqa_edge.data.datasets.splits import split_by_reference
from crossiqa_edge.training.linear_probe import MIN_REFERENCES, fit_probe, split_rows
from crossiqa_edge.training.metrics import json_number, srcc

Values = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]  # (N, V, D)

FOLDS = 10
INNER_SPLITS = 10  # to choose the ridge on, within the pictures that it is fitted to
CURVE_REPEATS = 10
FIRST_SIZE = 25  # pictures at the left end of the learning curve; every next size has twice as many


@dataclass(frozen=True)
class Head:
    """``raw = features @ weights + bias``: what the graph's regression head computes.

    Attributes:
        weights: float64 (D,).
        bias: on the scale of the opinions, 0..1.
        strength: of the ridge; None for a head that was not fitted here.
    """

    weights: Values
    bias: float
    strength: float | None = None

    def __call__(self, features: Features) -> Values:
        """Raw output of each view, (N, V, D) -> (N, V)."""
        raw: Values = features.astype(np.float64) @ self.weights + self.bias
        return raw


def fit_head(features: Features, quality_set: QualitySet, start: Head, *, seed: int = 0) -> Head:
    """The head for the opinions of ``quality_set``, from features (N, V, D) of its samples in their order.

    Raises:
        ConfigError: too few references to choose the ridge by.
    """
    rows, opinions = features.mean(axis=1, dtype=np.float64), quality_set.scores
    gain, shift = _line(start(features).mean(axis=1), opinions)
    rest = opinions - gain * (rows @ start.weights + start.bias) - shift
    samples = [replace(item, score=float(left)) for item, left in zip(quality_set.samples, rest, strict=True)]
    probe = fit_probe(
        rows, replace(quality_set, samples=tuple(samples)), seed=seed, inner_splits=INNER_SPLITS
    )
    bias = gain * start.bias + shift + probe.offset
    return Head(gain * start.weights + probe.weights, bias, probe.strength)


def out_of_fold(
    features: Features, quality_set: QualitySet, start: Head, *, folds: int = FOLDS, seed: int = 0
) -> Values:
    """Raw output (N, V) for each sample by a head that was fitted without its fold, split by reference."""
    place = {sample.key: index for index, sample in enumerate(quality_set.samples)}
    raw = np.empty(features.shape[:2])
    for part in split_by_reference(quality_set, [1 / folds] * folds, seed):
        held_out = np.array([place[sample.key] for sample in part.samples])
        others = np.setdiff1d(np.arange(len(quality_set)), held_out)
        head = fit_head(features[others], _subset(quality_set, others), start, seed=seed)
        raw[held_out] = head(features[held_out])
    return raw


@dataclass(frozen=True)
class LearningCurve:
    """How the rank correlation on pictures that were held out grows with the number of labelled ones.

    Attributes:
        sizes: labelled pictures, K of them.
        srcc: float64 (R, K), one row a repeat with a split of its own.
        start: float64 (R,), the SRCC of the starting model on the same held-out pictures.

    A correlation that does not exist is NaN, and takes no part in medians and quartiles.
    """

    sizes: tuple[int, ...]
    srcc: Values
    start: Values

    @property
    def median(self) -> Values:
        """Over the repeats, (K,)."""
        middle: Values = _quantiles(self.srcc, (0.5,))[0]
        return middle

    @property
    def quartiles(self) -> Values:
        """First and third over the repeats, (2, K)."""
        return _quantiles(self.srcc, (0.25, 0.75))

    @property
    def start_median(self) -> float:
        """Over the repeats."""
        return float(_quantiles(self.start[:, None], (0.5,))[0, 0])

    def to_dict(self) -> dict[str, object]:
        """JSON-ready values to four decimals; a correlation that does not exist is None."""
        return {
            "repeats": len(self.srcc),
            "pictures": list(self.sizes),
            "srcc_median": [json_number(value) for value in self.median],
            "srcc_quartiles": [[json_number(a), json_number(b)] for a, b in self.quartiles.T],
            "start_srcc_median": json_number(self.start_median),
        }


def learning_curve(
    features: Features, quality_set: QualitySet, start: Head, *, repeats: int = CURVE_REPEATS, seed: int = 0
) -> LearningCurve:
    """The curve up to four fifths of the set; each repeat holds out another fifth, by reference.

    Where most pictures are of one content, a draw of few may have too few contents to fit a head: NaN.
    """
    splits = [split_rows(quality_set, seed=seed + repeat) for repeat in range(repeats)]
    sizes = _sizes(min(len(train) for train, _ in splits))
    ranks, starts = np.full((repeats, len(sizes)), np.nan), np.empty(repeats)
    opinions = quality_set.scores
    for repeat, (train, test) in enumerate(splits):
        order = np.random.default_rng([seed, repeat]).permutation(train)
        starts[repeat] = srcc(start(features[test]).mean(axis=1), opinions[test])
        for place, size in enumerate(sizes):
            chosen = np.sort(order[:size])
            drawn = _subset(quality_set, chosen)
            if len({sample.reference for sample in drawn.samples}) < MIN_REFERENCES:
                continue
            head = fit_head(features[chosen], drawn, start, seed=seed)
            ranks[repeat, place] = srcc(head(features[test]).mean(axis=1), opinions[test])
    return LearningCurve(sizes, ranks, starts)


def _quantiles(values: Values, shares: tuple[float, ...]) -> Values:
    """Quantiles over the rows of (R, K) that have a value, (len(shares), K); NaN where no row has."""
    found = np.full((len(shares), values.shape[1]), np.nan)
    some = ~np.isnan(values).all(axis=0)  # NumPy warns of a column without a value
    found[:, some] = np.nanquantile(values[:, some], shares, axis=0)
    return found


def _line(raw: Values, opinions: Values) -> tuple[float, float]:
    """(gain, shift) of the least-squares line; no gain where ``raw`` is constant."""
    spread = raw - raw.mean()
    power = float(spread @ spread)
    gain = float(spread @ opinions) / power if power > 1e-9 else 0.0
    return gain, float(opinions.mean() - gain * raw.mean())


def _sizes(most: int) -> tuple[int, ...]:
    sizes = []
    size = FIRST_SIZE
    while size < 0.75 * most:
        sizes.append(size)
        size *= 2
    return (*sizes, most)


def _subset(quality_set: QualitySet, rows: npt.NDArray[np.intp]) -> QualitySet:
    return replace(quality_set, samples=tuple(quality_set.samples[index] for index in rows))
