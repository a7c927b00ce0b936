"""Intervals of rank correlations that respect what belongs together: whole references are resampled.

Many versions of few pictures are not independent, and two predictors on the same pictures are not either.
Drawing references with replacement (the cluster bootstrap: Davison and Hinkley, "Bootstrap Methods and their
Application", 1997, section 3.8) keeps the first together, and drawing the same ones for both predictors the
second. With as few references as four an interval is rough.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]  # (R, N): how often sample n is in resample r

ROUNDS = 1000
CONFIDENCE = 0.95


def resamples(references: Sequence[str], *, rounds: int = ROUNDS, seed: int = 0) -> Counts:
    """How often each of N samples occurs when the references are drawn with replacement, (R, N)."""
    names, which = np.unique(np.asarray(references), return_inverse=True)
    shares = np.full(len(names), 1 / len(names))
    drawn = np.random.default_rng(seed).multinomial(len(names), shares, size=rounds)
    counts: Counts = drawn[:, which]
    return counts


def resampled_srcc(predicted: Values, opinion: Values, counts: Counts) -> Values:
    """Spearman's rank correlation in each resample, (R,); NaN where a side is constant.

    Args:
        predicted, opinion: float64 (N,).
        counts: of ``resamples``.
    """
    x, y = _centred_ranks(predicted, counts), _centred_ranks(opinion, counts)
    products = [np.sum(counts * a * b, axis=1) for a, b in ((x, y), (x, x), (y, y))]
    together, own_x, own_y = products
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Values = together / np.sqrt(own_x * own_y)
    return found


def interval(values: Values, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The percentile interval of resampled figures; NaN where there are none."""
    known = values[np.isfinite(values)]
    if known.size == 0:
        return (float("nan"), float("nan"))
    low, high = np.quantile(known, ((1 - confidence) / 2, (1 + confidence) / 2))
    return float(low), float(high)


def _centred_ranks(values: Values, counts: Counts) -> Values:
    """Ranks (R, N) within each resample, equal values sharing their mean rank, less the mean of all."""
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    sizes = np.add.reduceat(counts[:, order], starts, axis=1)
    ranks = (np.cumsum(sizes, axis=1) - (sizes - 1) / 2)[:, group]
    mean = np.sum(counts * ranks, axis=1, keepdims=True) / np.sum(counts, axis=1, keepdims=True)
    centred: Values = ranks - mean
    return centred
