"""The linear probe: ridge regression from frozen features to opinions.

What a frozen encoder knows about quality is what a linear function of its features can tell; this is
the protocol by which a pretext task is judged. The strength of the ridge is chosen on splits of the
training part alone, by reference, so that nothing of the test part takes part in the choice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crossiqa_edge.data.datasets.base import QualitySet
from crossiqa_edge.data.datasets.splits import split_by_reference
from crossiqa_edge.errors import InputError

Values = npt.NDArray[np.float64]

# Per sample and for features of unit deviation: from next to none to one that leaves only the mean.
STRENGTHS: tuple[float, ...] = tuple(10.0**exponent for exponent in np.arange(-5, 2.5, 0.5))
INNER_SPLITS = 3
TRAIN_SHARE = 0.8
MIN_REFERENCES = 3  # fewer cannot be split 80/20 with a reference in each part


@dataclass(frozen=True)
class LinearProbe:
    """``opinion = features @ weights + offset``.

    Attributes:
        weights: float64 (D,).
        offset: on the scale of the opinions.
        strength: the ridge it was fitted with.
    """

    weights: Values
    offset: float
    strength: float

    def __call__(self, features: npt.ArrayLike) -> Values:
        """Predicted opinions (N,) of features (N, D)."""
        predicted: Values = np.asarray(features, np.float64) @ self.weights + self.offset
        return predicted


def fit_probe(
    features: npt.ArrayLike, quality_set: QualitySet, *, seed: int = 0, inner_splits: int = INNER_SPLITS
) -> LinearProbe:
    """The probe from ``features`` (N, D) to the opinions of the N samples, ridge chosen inside.

    Args:
        features: one row a sample, in the set's order.
        quality_set: samples of at least ``MIN_REFERENCES`` references.
        seed: of the inner splits.
        inner_splits: how many the strength is chosen on; small sets need more for a steady choice.

    Raises:
        InputError: rows and samples differ in number, or a value is not finite.
        ConfigError: too few references.
    """
    rows, opinions = np.asarray(features, np.float64), quality_set.scores
    if rows.ndim != 2 or len(rows) != len(opinions):
        raise InputError(f"features {rows.shape} do not fit {len(opinions)} samples; give one row for each")
    if not np.isfinite(rows).all():
        raise InputError(f"{quality_set.name}: features that are not finite; check the encoder's weights")
    errors = np.zeros(len(STRENGTHS))
    for inner in range(inner_splits):
        train, held_out = split_rows(quality_set, seed=seed + inner)
        for probe_index, probe in enumerate(_ridges(rows[train], opinions[train], STRENGTHS)):
            errors[probe_index] += np.mean((probe(rows[held_out]) - opinions[held_out]) ** 2)
    (probe,) = _ridges(rows, opinions, [STRENGTHS[int(errors.argmin())]])
    return probe


def split_rows(quality_set: QualitySet, *, seed: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Positions in ``quality_set`` of one seeded 80/20 split by reference: (train, test)."""
    train, test = split_by_reference(quality_set, (TRAIN_SHARE, 1 - TRAIN_SHARE), seed)
    position = {sample.key: index for index, sample in enumerate(quality_set.samples)}
    return (
        np.array([position[sample.key] for sample in train.samples], np.intp),
        np.array([position[sample.key] for sample in test.samples], np.intp),
    )


def _ridges(rows: Values, opinions: Values, strengths: Iterable[float]) -> list[LinearProbe]:
    """One probe for each strength from a single decomposition."""
    centre, deviation = rows.mean(axis=0), rows.std(axis=0)
    unit = np.where(deviation > 0, deviation, 1.0)  # a feature that never varies says nothing: weight 0
    mean = float(opinions.mean())
    left, singular, right = np.linalg.svd((rows - centre) / unit, full_matrices=False)
    target = left.T @ (opinions - mean)
    probes = []
    for strength in strengths:
        weights = right.T @ (singular * target / (singular**2 + strength * len(rows))) / unit
        probes.append(LinearProbe(weights, mean - float(centre @ weights), strength))
    return probes
