"""The reference set of a card: what a model gives to pictures that others can be compared with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.errors import ConfigError, InputError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.gather import gather as pictures_in
from crossiqa_edge.training.calibrate import reference_quantiles
from crossiqa_edge.training.evaluate import Loading, Predict, gather

LEAST_PICTURES = 20  # a percentile then moves in steps of five


@dataclass(frozen=True)
class Reference:
    """A reference set as a model sees it.

    Attributes:
        name: of the set.
        scores: quantiles for the card, see ``ModelCard.reference_scores``.
        pictures: how many were scored.
        skipped: those that could not be read, with the reason.
    """

    name: str
    scores: tuple[float, ...]
    pictures: int
    skipped: Mapping[str, str]


def score_reference(
    predict: Predict, folder: str | os.PathLike[str], name: str, loading: Loading | None = None
) -> Reference:
    """Score all pictures in ``folder`` and below it.

    Args:
        predict: scores of frames, 0..100.
        name: what the set will be called wherever a percentile is told.

    Raises:
        InputError: fewer than ``LEAST_PICTURES`` can be read.
        ConfigError: a name that is empty or cannot be printed.
    """
    if not (name.strip() and name.isprintable()):
        raise ConfigError(f"{name!r} cannot be the name of a reference set; give one that can be printed")
    entries = [entry for entry in pictures_in([os.fspath(folder)]) if not entry.clip]
    samples = tuple(
        Sample(entry.label, 0.0, entry.label, partial(decode, Path(entry.source)))
        for entry in entries
        if isinstance(entry.source, str)
    )
    found = gather(predict, QualitySet(name, samples, (0.0, 1.0)), loading)
    if len(found.values) < LEAST_PICTURES:
        raise InputError(
            f"{folder}: {len(found.values)} pictures are no reference set; {LEAST_PICTURES} are the least"
        )
    return Reference(name, reference_quantiles(found.values), len(found.values), found.skipped)
