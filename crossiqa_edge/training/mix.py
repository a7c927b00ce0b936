"""Opening the sets of a fine-tuning recipe: which references train, which are held out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crossiqa_edge.card import ModelCard
from crossiqa_edge.data.datasets.base import QualitySet
from crossiqa_edge.data.datasets.bsds500 import in_test_part
from crossiqa_edge.data.datasets.catalogue import open_set
from crossiqa_edge.data.datasets.population import photographs
from crossiqa_edge.data.datasets.splits import split_by_reference
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.imaging.sampling import sample
from crossiqa_edge.model.family import VIEW_SIZE
from crossiqa_edge.training.pictures import PictureCache, source_file
from crossiqa_edge.training.recipe import FinetuneRecipe, Source
from crossiqa_edge.training.sources import (
    Draws,
    LabelledDraws,
    OrderDraws,
    PartDraws,
    PopulationDraws,
)

_LARGEST_VALIDATION = 400
# Sets that are degraded while training: the family of their degradations.
_DEGRADED_BY = {
    "population": "kadid10k",
    "tid-population": "tid2013",
    "video-order": "video",
    "part-order": "kadid10k",
}
_DRAWN_AS = {
    "population": PopulationDraws,
    "tid-population": PopulationDraws,
    "video-order": OrderDraws,
    "part-order": PartDraws,
}
# A set that is a way to draw only: whose photographs it takes.
_LISTED_AS = {"part-order": "population"}


@dataclass(frozen=True)
class Validation:
    """Held-out pictures of one set.

    Attributes:
        name: of the set.
        views: uint8 (N, V, S, S, 3).
        opinions: (N,) on 0..1.
        calibrates: whether they take part in the calibration and the intervals.
    """

    name: str
    views: npt.NDArray[np.uint8]
    opinions: npt.NDArray[np.float64]
    calibrates: bool = True


@dataclass(frozen=True)
class Mix:
    """All sources of a recipe, opened."""

    draws: tuple[Draws, ...]
    validations: tuple[Validation, ...]
    training_names: tuple[str, ...]

    def require_calibration(self, recipe: FinetuneRecipe) -> None:
        """Say before a long training that its model could not be calibrated.

        Raises:
            ConfigError: ``recipe``, whose mix this is, holds nothing out that calibrates.
        """
        if not any(held.calibrates for held in self.validations):
            raise ConfigError(
                f"recipe {recipe.name}: nothing is held out to calibrate on; give one of the sets a hold_out"
            )


def open_mix(
    recipe: FinetuneRecipe, roots: Mapping[str, str | os.PathLike[str]], cache: str | os.PathLike[str]
) -> Mix:
    """Open every source; ``roots`` says where each set lies.

    Raises:
        ConfigError: a source without a root, or one that would hold nothing out or everything.
        DatasetError: a root that is not what the set's release looks like.
    """
    places = [source.place or source.data for source in recipe.sources]
    missing = [place for place in places if place not in roots]
    if missing:
        raise ConfigError(f"recipe {recipe.name}: say where the sets lie: --data {missing[0]}=FOLDER")
    draws, validations, names = [], [], []
    for source, place in zip(recipe.sources, places, strict=True):
        root = Path(roots[place]).expanduser()
        training, held_out = split_source(source, root, recipe)
        draws.append(_draws(source, root, training, recipe, cache))
        if held_out is not None and not source.ordinal:
            validation = _validation(held_out, recipe, cache)
            # TID2013's viewers would count twice, and the means of their opinions have lost their scatter
            validations.append(replace(validation, calibrates=_DEGRADED_BY.get(source.data) != "tid2013"))
        names.append(_told(training))
    return Mix(tuple(draws), tuple(validations), tuple(names))


def split_source(source: Source, root: Path, recipe: FinetuneRecipe) -> tuple[QualitySet, QualitySet | None]:
    """What a recipe trains on of a set, and what it keeps for validation."""
    opened = open_source(source, root)
    training, held_out = _parted(opened, source, recipe.seed, recipe.bsds_test_apart)
    if not len(held_out) and not source.hold_out_references:
        return training, None
    if not len(training) or not len(held_out):
        raise ConfigError(f"{source.data}: the hold-out leaves one side empty; change it in the recipe")
    return training, held_out


def open_source(source: Source, root: Path) -> QualitySet:
    """All of a set, before it is parted."""
    return open_set(_LISTED_AS.get(source.data, source.data), root)


def set_digest(opened: QualitySet) -> str:
    """Of names, opinions and sizes of files, not of pixels; of photographs to degrade, the samples' keys hold
    the names."""
    files = [source_file(item) for item in opened.samples]
    sizes = {file: file.stat().st_size if file and file.is_file() else 0 for file in set(files)}
    rows = (
        f"{item.key}\t{item.reference}\t{float(item.score)!r}\t{sizes[file]}\n"
        for item, file in zip(opened.samples, files, strict=True)
    )
    return hashlib.sha256("".join(rows).encode(errors="surrogateescape")).hexdigest()[:12]


def parts_learnt_from(card: ModelCard, data: str, whole: QualitySet) -> tuple[QualitySet, QualitySet] | None:
    """What the fine-tuning of ``card``'s model learnt from of ``whole``, and what it held out.

    None if it is no set that it learnt from.

    Args:
        data: catalogue name of the set. Of one that is any labelled folder, name and number of the pictures
            learnt from must be the card's, too.
        whole: with all its references.
    """
    for recipe in reversed(finetunings(card)):
        for source in map(_source, recipe["sources"]):
            if source.data == data and source.place in ("", data):
                try:
                    parts = _parted(whole, source, recipe["seed"], recipe["bsds_test_apart"])
                except ConfigError:  # too few to be parted, so not what was learnt from
                    return None
                return parts if _told(parts[0]) in card.training_data else None
    return None


def _source(values: Mapping[str, Any]) -> Source:
    """A card's source; a later version's may have values of which this one knows nothing."""
    known = {item.name for item in fields(Source)}
    return Source(**{key: value for key, value in values.items() if key in known})


def finetunings(card: ModelCard) -> list[dict[str, Any]]:
    """The recipes of fine-tuning that a model went through, oldest first, as its card keeps them."""
    return [kept for kept in card.recipe.values() if isinstance(kept, dict) and kept.get("sources")]


def _told(training: QualitySet) -> str:
    """As cards say what a model learnt from."""
    return f"{training.name}, {len({item.reference for item in training.samples})} references"


def _parted(
    opened: QualitySet, source: Source, seed: int, bsds_test_apart: bool
) -> tuple[QualitySet, QualitySet]:
    """To train on, and to hold out; either may be empty."""
    whole = replace(opened, name=source.name or opened.name)
    held = set(source.hold_out_references)
    if source.hold_out > 0.0 and not held:
        _, drawn = split_by_reference(whole, (1.0 - source.hold_out, source.hold_out), seed=seed)
        held = {item.reference for item in drawn.samples}
    if bsds_test_apart and source.data in _DEGRADED_BY:
        held |= {item.reference for item in whole.samples if in_test_part(item.reference)}
    shown = _with_doubles(held, source)
    training = whole.where(lambda item: item.reference not in shown)
    return training, whole.where(lambda item: item.reference in held)


def _with_doubles(references: set[str], source: Source) -> set[str]:
    """``references`` and whatever shows the same as one of them, be it through others."""
    while found := {name for group in source.doubles if references.intersection(group) for name in group}:
        if found <= references:
            break
        references = references | found
    return references


def _draws(
    source: Source,
    root: Path,
    training: QualitySet,
    recipe: FinetuneRecipe,
    cache: str | os.PathLike[str],
) -> Draws:
    if source.data not in _DEGRADED_BY:
        return LabelledDraws.of(training, recipe, cache)
    kept = {item.reference for item in training.samples}
    paths = [path for path in photographs(root) if path.relative_to(root).with_suffix("").as_posix() in kept]
    return _DRAWN_AS[source.data].of(paths, recipe, cache, _DEGRADED_BY[source.data])


def _validation(held_out: QualitySet, recipe: FinetuneRecipe, cache: str | os.PathLike[str]) -> Validation:
    """Windows as the recipe trains on them, or the fragments that the finished model will meet, whose tiles
    are those of training though there are more of them; a large set is thinned evenly by its seed."""
    order = np.random.default_rng(recipe.seed).permutation(len(held_out))[:_LARGEST_VALIDATION]
    samples = [held_out.samples[index] for index in sorted(order)]
    pictures = PictureCache.of_samples(cache, f"{held_out.name} held out", samples)
    if recipe.fragment_share > 0.0:
        views = [sample(picture, "fragments", size=VIEW_SIZE) for picture in pictures]
    else:
        views = [sample(picture, "crops", size=recipe.view_size, views=2) for picture in pictures]
    return Validation(held_out.name, np.stack(views), np.array([item.score for item in samples]))
