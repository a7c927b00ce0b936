"""Where fine-tuning draws its views from: opinions that belong to pictures, or to degradations."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from crossiqa_edge.data.datasets.base import QualitySet
from crossiqa_edge.data.datasets.population import level_order, population_mos
from crossiqa_edge.data.degradations import LEVELS, Degradation, every
from crossiqa_edge.imaging.sampling import Frame, Views
from crossiqa_edge.training.pictures import PictureCache
from crossiqa_edge.training.recipe import FinetuneRecipe
from crossiqa_edge.training.views import TILE, cut, fragments, region

MARGIN = 24
_RELATED_SHARE = 0.5
_DISLIKED = 0.6  # population MOS up to which a degradation surely counts as harm

KINDS = tuple(kind.name for kind in every())

Scores = npt.NDArray[np.float32]


class Draw(NamedTuple):
    """Views of one draw.

    Attributes:
        views: uint8 (K, S, S, 3).
        scores: opinions, float32 (K,), on 0..1.
        kinds: degradations as positions in ``KINDS``, int64 (K,); -1 where there is none to name.
    """

    views: Views
    scores: Scores
    kinds: npt.NDArray[np.int64]


class Draws(Protocol):
    """Gives views with opinions, a few at a time."""

    def draw(self, generator: np.random.Generator) -> Draw:
        """``recipe.variants`` views at a time."""
        ...


def _cut(picture: Frame, generator: np.random.Generator, recipe: FinetuneRecipe) -> Frame:
    return cut(picture, generator, recipe.view_size, recipe.fragment_share, recipe.chroma_share)


def _to_degrade(picture: Frame, generator: np.random.Generator, recipe: FinetuneRecipe) -> Frame:
    """A window of a pristine picture: for a view that is one its surroundings suffice, fragments spread."""
    size = recipe.view_size
    margin = MARGIN if recipe.fragment_share == 0.0 else (max(recipe.spread, 2 * size) - size) // 2
    return np.ascontiguousarray(region(picture, generator, size, margin))


@dataclass(frozen=True)
class LabelledDraws:
    """Views of pictures that people have judged; half of the draws share their reference."""

    pictures: PictureCache
    scores: Scores
    kinds: npt.NDArray[np.int64]
    groups: tuple[tuple[int, ...], ...]
    recipe: FinetuneRecipe

    @classmethod
    def of(cls, samples: QualitySet, recipe: FinetuneRecipe, cache: str | os.PathLike[str]) -> LabelledDraws:
        """Draws from ``samples``, whose pictures are decoded or rebuilt once into ``cache``."""
        pictures = PictureCache.of_samples(cache, samples.name, samples.samples)
        groups: dict[str, list[int]] = {}
        for index, sample in enumerate(samples.samples):
            groups.setdefault(sample.reference, []).append(index)
        kinds = [
            KINDS.index(sample.distortion) if sample.distortion in KINDS else -1 for sample in samples.samples
        ]
        return cls(
            pictures,
            samples.scores.astype(np.float32),
            np.array(kinds, np.int64),
            tuple(map(tuple, groups.values())),
            recipe,
        )

    def draw(self, generator: np.random.Generator) -> Draw:
        group: Sequence[int] = range(len(self.pictures))
        if generator.random() < _RELATED_SHARE:
            related = self.groups[int(generator.integers(len(self.groups)))]
            group = related if len(related) >= self.recipe.variants else group
        chosen = generator.choice(np.asarray(group), self.recipe.variants, replace=False)
        views = [_cut(self.pictures[index], generator, self.recipe) for index in chosen]
        return Draw(np.stack(views), self.scores[chosen], self.kinds[chosen])


@dataclass(frozen=True)
class PopulationDraws:
    """One photograph under several degradations of one study, each labelled with its population MOS.

    ``levels_share`` of the draws are of levels of one type. In the others the first two variants are, so that
    every draw holds a pair that differs in the level alone, and the rest are of any type. Labels decide which
    is better: opinion does not fall with every level of every type.
    """

    pictures: PictureCache
    recipe: FinetuneRecipe
    family: str = "kadid10k"

    @classmethod
    def of(
        cls,
        photographs: Sequence[Path],
        recipe: FinetuneRecipe,
        cache: str | os.PathLike[str],
        family: str,
    ) -> PopulationDraws:
        """Draws from pristine photographs, decoded once into ``cache``."""
        return cls(PictureCache.of_files(cache, photographs), recipe, family)

    def draw(self, generator: np.random.Generator) -> Draw:
        picture = self.pictures[int(generator.integers(len(self.pictures)))]
        content = _to_degrade(picture, generator, self.recipe)
        views, scores, kinds = [], [], []
        for kind, level in self._kinds(generator):
            degraded = kind(content, level, int(generator.integers(2**31)))
            views.append(_cut(degraded, generator, self.recipe))
            scores.append(self._score(kind, level))
            kinds.append(KINDS.index(kind.name))
        return Draw(np.stack(views), np.array(scores, np.float32), np.array(kinds, np.int64))

    def _kinds(self, generator: np.random.Generator) -> Iterable[tuple[Degradation, int]]:
        known = every(self.family)
        if self.recipe.levels_share and generator.random() < self.recipe.levels_share:
            return self._levels(known[int(generator.integers(len(known)))], generator)
        kinds = [known[i] for i in generator.integers(len(known), size=self.recipe.variants)]
        levels = [int(level) for level in generator.integers(1, LEVELS + 1, size=self.recipe.variants)]
        if self.recipe.variants > 1:
            kinds[1] = kinds[0]
            first, second = generator.choice(LEVELS, 2, replace=False)
            levels[:2] = [int(first) + 1, int(second) + 1]
        return zip(kinds, levels, strict=True)

    def _levels(self, kind: Degradation, generator: np.random.Generator) -> list[tuple[Degradation, int]]:
        """One type at levels that differ, as far as there are levels."""
        levels = generator.permutation(np.resize(generator.permutation(LEVELS), self.recipe.variants))
        return [(kind, int(level) + 1) for level in levels]

    def _score(self, kind: Degradation, level: int) -> float:
        return population_mos(kind.name, level)


class OrderDraws(PopulationDraws):
    """One photograph under one degradation that nobody was asked about, at levels that differ.

    The scores fall with the level and mean no more than that.
    """

    def _kinds(self, generator: np.random.Generator) -> Iterable[tuple[Degradation, int]]:
        known = every(self.family)
        return self._levels(known[int(generator.integers(len(known)))], generator)

    def _score(self, kind: Degradation, level: int) -> float:
        return level_order(level)


class PartDraws(PopulationDraws):
    """One photograph of which no tile, some and all tiles are degraded, by a type and level people dislike.

    Every other draw degrades a view as a whole, so a network may judge by the sharpest tile and let the
    others be. The scores fall with the number of tiles and mean no more than that.
    """

    def draw(self, generator: np.random.Generator) -> Draw:
        size, count = self.recipe.view_size, self.recipe.variants
        picture = self.pictures[int(generator.integers(len(self.pictures)))]
        content = _to_degrade(picture, generator, self.recipe)
        kind, level = self._disliked(generator)
        degraded = kind(content, level, int(generator.integers(2**31)))
        place = int(generator.integers(2**31))
        sound, harmed = (fragments(side, np.random.default_rng(place), size) for side in (content, degraded))
        cells = size // TILE
        shares = np.linspace(0.0, 1.0, count)
        rank = generator.permutation(cells * cells).reshape(cells, cells)
        order = np.repeat(np.repeat(rank, TILE, axis=0), TILE, axis=1)[..., None]
        views = [np.where(order < round(share * cells * cells), harmed, sound) for share in shares]
        return Draw(np.stack(views), (1.0 - shares).astype(np.float32), np.full(count, -1, np.int64))

    def _disliked(self, generator: np.random.Generator) -> tuple[Degradation, int]:
        known = [
            (kind, level)
            for kind in every(self.family)
            for level in range(1, LEVELS + 1)
            if population_mos(kind.name, level) <= _DISLIKED
        ]
        return known[int(generator.integers(len(known)))]
