"""The pictures that docs/accuracy.md is measured on: what fine-tuning held out, and what probes learn from.

One folder has all: ``photos/`` (pristine photographs), ``kodak/`` and ``opinions/`` (TID2013's), ``livec/``
(authentic photographs with ``labels.csv``) and ``clips/``. What is held out is what fine-tuning holds out:
all packaged recipes and plans agree on it, so one of them is asked. Photographs that are judged are of the
test part of BSDS500.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from crossiqa_edge.card import ModelCard
from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.data.datasets.bsds500 import in_test_part
from crossiqa_edge.data.datasets.population import photographs
from crossiqa_edge.data.datasets.tid_crops import tid_reference
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.training.mix import finetunings, split_source
from crossiqa_edge.training.pictures import PictureCache
from crossiqa_edge.training.recipe import FinetuneRecipe, load_recipe

RECIPE = "nano-finetune"
SEED = 0  # of the pictures that probes learn from

TEST_PHOTOGRAPHS = 12
PROBE_PICTURES = 600

Original = Callable[[Sample], Frame]  # the pristine picture of a sample


@dataclass(frozen=True)
class Pictures:
    """Samples whose pictures lie decoded on the disk.

    Attributes:
        quality_set: N samples; loading one reads it from the cache.
        pixels: tells these pictures from others under the same names: other files, or made by other code.
        original: the pristine picture of a sample; None where nobody has it.
    """

    quality_set: QualitySet
    pixels: str
    original: Original | None = None

    @property
    def name(self) -> str:
        return self.quality_set.name

    @property
    def digest(self) -> str:
        """Of the samples and their opinions, in order: other samples are another set."""
        lines = [f"{item.key} {item.score:.9f}" for item in self.quality_set.samples]
        return hashlib.sha256("\n".join([self.name, *lines]).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Corpus:
    """One world of opinion.

    Attributes:
        key: short name.
        training: what linear probes learn from; shares no reference with ``test``.
        test: held out of fine-tuning.
    """

    key: str
    training: Pictures
    test: Pictures


def corpora(data: str | os.PathLike[str], cache: str | os.PathLike[str]) -> tuple[Corpus, ...]:
    """The rebuilt TID2013, population MOS and the authentic photographs, each cut into training and test.

    Raises:
        DatasetError: a part of ``data`` is not there.
    """
    root = Path(data)
    return (_tid(root, cache), _population(root / "photos", cache), _authentic(root / "livec", cache))


def held_out(data: str, root: Path) -> tuple[QualitySet, QualitySet]:
    """What fine-tuning trains on of a set, and what it does not."""
    recipe = load_recipe(FinetuneRecipe, RECIPE)
    source = next(source for source in recipe.sources if source.data == data)
    training, held = split_source(source, root, recipe)
    assert held is not None
    return training, held


def check_hold_out(card: ModelCard) -> None:
    """Refuse a model that may have learnt from pictures that are judged: a seed decides which are held out.

    Raises:
        ConfigError: its fine-tuning had another seed than the packaged recipes and plans.
    """
    seeds = {recipe["seed"] for recipe in finetunings(card)}
    if other := seeds - {load_recipe(FinetuneRecipe, RECIPE).seed}:
        raise ConfigError(
            f"{card.identity}: seed {min(other)} held other pictures out than are judged here; "
            "crossiqa evaluate --held-out measures it on its own"
        )


def _tid(root: Path, cache: str | os.PathLike[str]) -> Corpus:
    training, test = held_out("tid-kodak", root)
    kodak = root / "kodak" if (root / "kodak").is_dir() else root
    return Corpus(
        "tid",
        _cached(training, f"{test.name}, references 1 to 12", test.name, cache),
        _cached(
            test,
            f"{test.name}, references 13 to 16",
            f"{test.name} held out",
            cache,
            lambda item: tid_reference(decode(kodak / f"{item.reference}.png"), int(item.reference[-2:])),
        ),
    )


def _population(folder: Path, cache: str | os.PathLike[str]) -> Corpus:
    training, held = held_out("population", folder)
    references = sorted({item.reference for item in held.samples if in_test_part(item.reference)})
    kept = set(references[:: max(1, len(references) // TEST_PHOTOGRAPHS)][:TEST_PHOTOGRAPHS])
    test = held.where(lambda item: item.reference in kept)
    order = np.random.default_rng(SEED).permutation(len(training))[:PROBE_PICTURES]
    for_probes = replace(training, samples=tuple(training.samples[i] for i in sorted(order)))
    paths = {path.relative_to(folder).with_suffix("").as_posix(): path for path in photographs(folder)}
    name = f"{test.name}, {len(kept)} photographs of BSDS500's test part"
    return Corpus(
        "population",
        _cached(for_probes, f"{test.name}, training photographs", "population for probes", cache),
        _cached(test, name, "population test", cache, lambda item: decode(paths[item.reference])),
    )


def _authentic(folder: Path, cache: str | os.PathLike[str]) -> Corpus:
    training, test = held_out("folder", folder)
    return Corpus(
        "authentic",
        _cached(training, f"{test.name}, {len(training)} for training", test.name, cache),
        _cached(test, f"{test.name}, {len(test)} held out", f"{test.name} held out", cache),
    )


def _cached(
    samples: QualitySet,
    name: str,
    file: str,
    cache: str | os.PathLike[str],
    original: Original | None = None,
) -> Pictures:
    """``samples`` called ``name``, their pictures in the cache that training calls ``file``."""
    pictures = PictureCache.of_samples(cache, file, samples.samples)
    loaded = [
        replace(item, load=partial(pictures.__getitem__, index)) for index, item in enumerate(samples.samples)
    ]
    return Pictures(replace(samples, name=name, samples=tuple(loaded)), pictures.digest, original)
