"""Splits by reference, never by image: a network that has seen a scene must not be tested on it.

The order comes from SHA-256, so a split is the same on every system, in every version of Python and
NumPy, and whatever other references the set has: a reference's place depends on its own name and the
seed alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from itertools import accumulate, pairwise

from crossiqa_edge.data.datasets.base import QualitySet
from crossiqa_edge.errors import ConfigError

TEN = 10


def split_by_reference(
    whole: QualitySet, fractions: Sequence[float] = (0.8, 0.2), seed: int = 0
) -> tuple[QualitySet, ...]:
    """Disjoint parts of ``whole``, one for each fraction, whose references are disjoint too.

    Args:
        whole: the set; its samples keep their order within a part.
        fractions: shares of the references, not of the samples; each above 0, together 1.
        seed: another seed, another split.

    Raises:
        ConfigError: fractions that do not add up to 1, or a part that would be empty.
    """
    if any(fraction <= 0.0 for fraction in fractions) or abs(sum(fractions) - 1.0) > 1e-6:
        raise ConfigError(f"fractions {tuple(fractions)} are not above 0 and together 1; mend them")
    references = sorted(
        {sample.reference for sample in whole.samples},
        key=lambda reference: (sha256(_bytes(f"{seed}/{reference}")).digest(), reference),
    )
    edges = [int(share * len(references) + 0.5) for share in accumulate(fractions, initial=0.0)]
    groups = [frozenset(references[start:end]) for start, end in pairwise(edges)]
    if not all(groups):
        raise ConfigError(
            f"{whole.name}: {len(references)} references are too few for the parts {tuple(fractions)}"
        )
    return tuple(_of_references(whole, group) for group in groups)


def ten_splits(
    whole: QualitySet, fractions: Sequence[float] = (0.8, 0.2), seed: int = 0
) -> list[tuple[QualitySet, ...]]:
    """Ten splits, the number over which the field reports medians; no seed shares a split with another."""
    return [split_by_reference(whole, fractions, TEN * seed + index) for index in range(TEN)]


def _bytes(text: str) -> bytes:
    """In UTF-8; a file name that is not, as the system has it."""
    return text.encode(errors="surrogateescape")


def _of_references(whole: QualitySet, references: frozenset[str]) -> QualitySet:
    return whole.where(lambda sample: sample.reference in references)
