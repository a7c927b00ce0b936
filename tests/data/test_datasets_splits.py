from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import pytest

from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.data.datasets.splits import split_by_reference, ten_splits
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.imaging.sampling import Frame


def no_picture() -> Frame:
    return np.zeros((1, 1, 3), np.uint8)


def make_set(references: Sequence[str], per_reference: int = 3) -> QualitySet:
    samples = [
        Sample(f"{reference}{level}", 0.5, reference, no_picture)
        for level in range(per_reference)
        for reference in references
    ]
    return QualitySet("made", tuple(samples), (0.0, 1.0))


def references(part: QualitySet) -> set[str]:
    return {sample.reference for sample in part.samples}


@pytest.mark.parametrize("fractions", [(0.8, 0.2), (0.6, 0.2, 0.2), (0.5, 0.5)])
def test_no_reference_is_on_two_sides_and_no_sample_is_lost(fractions: tuple[float, ...]) -> None:
    whole = make_set([f"r{index}" for index in range(29)])
    for seed in range(5):
        parts = split_by_reference(whole, fractions, seed)
        assert sum(len(references(part)) for part in parts) == len(set.union(*map(references, parts))) == 29
        assert sorted(sample.key for part in parts for sample in part.samples) == sorted(
            sample.key for sample in whole.samples
        )
        for fraction, part in zip(fractions, parts, strict=True):
            assert abs(len(references(part)) - fraction * 29) <= 1


def test_a_known_split() -> None:
    """By hand: ``printf 0/a | sha256sum`` and so on to j; the two largest digests are those of h and a.

    With seed 1 they are those of c and i.
    """
    whole = make_set("jihgfedcba")
    assert references(split_by_reference(whole, seed=0)[1]) == {"h", "a"}
    assert references(split_by_reference(whole, seed=1)[1]) == {"c", "i"}


def test_the_order_in_which_a_table_lists_its_rows_does_not_matter() -> None:
    forwards, backwards = make_set("abcdefghij"), make_set("jihgfedcba")
    for one, other in zip(split_by_reference(forwards), split_by_reference(backwards), strict=True):
        assert references(one) == references(other)


def test_samples_keep_their_order_within_a_part() -> None:
    whole = make_set("abcdefghij")
    order = {sample.key: place for place, sample in enumerate(whole.samples)}
    for part in split_by_reference(whole):
        places = [order[sample.key] for sample in part.samples]
        assert places == sorted(places)


def test_ten_splits_differ_and_share_none_with_the_next_seed() -> None:
    whole = make_set([f"r{index}" for index in range(60)], per_reference=1)
    tests = [frozenset(references(test)) for seed in (0, 1) for _, test in ten_splits(whole, seed=seed)]
    assert len(tests) == len(set(tests)) == 20


def test_a_reference_need_not_be_utf8() -> None:
    whole = make_set([os.fsdecode(b"caf\xe9"), *"abcdefghi"])
    assert sum(map(len, split_by_reference(whole))) == 30


@pytest.mark.parametrize("fractions", [(0.8, 0.3), (1.0, 0.0), (), (0.5,)])
def test_fractions_that_are_no_shares(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="not above 0 and together 1"):
        split_by_reference(make_set("abc"), fractions)


def test_too_few_references() -> None:
    with pytest.raises(ConfigError, match="made: 1 references are too few"):
        split_by_reference(make_set("a", per_reference=100))
