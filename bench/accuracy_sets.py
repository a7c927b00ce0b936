"""The pictures that docs/accuracy.md is measured on: what fine-tuning held out, and what probes learn from.

One folder has all: ``photos/`` (pristine photographs), ``kodak/`` and ``opinions/`` (TID2013's), ``livec/``
(authentic photographs with ``labels.csv``) and ``clips/``. What is held out is what the recipes hold out.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.data.datasets.catalogue import open_set
from crossiqa_edge.data.datasets.population import photographs
from crossiqa_edge.data.datasets.splits import split_by_reference
from crossiqa_edge.data.datasets.tid_crops import tid_reference
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.training.pictures import PictureCache

SEED = 0  # of the packaged recipes, as are the shares held out
POPULATION_HELD_OUT = 0.1
AUTHENTIC_HELD_OUT = 0.2
TID_HELD_OUT = ("kodim13", "kodim14", "kodim15", "kodim16")
AUTHENTIC = "LIVE-itW (900 of 1,162)"

TEST_PHOTOGRAPHS = 6
PROBE_PICTURES = 600

Original = Callable[[Sample], Frame]  # the pristine picture of a sample


@dataclass(frozen=True)
class Pictures:
    """Samples whose pictures lie decoded on the disk.

    Attributes:
        quality_set: N samples; loading one reads it from the cache.
        original: the pristine picture of a sample; None where nobody has it.
    """

    quality_set: QualitySet
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


def _tid(root: Path, cache: str | os.PathLike[str]) -> Corpus:
    whole = open_set("tid-kodak", root)
    training = whole.where(lambda item: item.reference not in TID_HELD_OUT)
    test = whole.where(lambda item: item.reference in TID_HELD_OUT)
    kodak = root / "kodak" if (root / "kodak").is_dir() else root
    return Corpus(
        "tid",
        Pictures(_cached(training, f"{whole.name}, references 1 to 12", whole.name, cache)),
        Pictures(
            _cached(test, f"{whole.name}, references 13 to 16", f"{whole.name} held out", cache),
            lambda item: tid_reference(decode(kodak / f"{item.reference}.png"), int(item.reference[-2:])),
        ),
    )


def _population(folder: Path, cache: str | os.PathLike[str]) -> Corpus:
    whole = open_set("population", folder)
    training, held_out = split_by_reference(whole, (1 - POPULATION_HELD_OUT, POPULATION_HELD_OUT), seed=SEED)
    references = sorted({item.reference for item in held_out.samples})
    kept = set(references[:: max(1, len(references) // TEST_PHOTOGRAPHS)][:TEST_PHOTOGRAPHS])
    test = held_out.where(lambda item: item.reference in kept)
    order = np.random.default_rng(SEED).permutation(len(training))[:PROBE_PICTURES]
    for_probes = replace(training, samples=tuple(training.samples[i] for i in sorted(order)))
    paths = {path.relative_to(folder).with_suffix("").as_posix(): path for path in photographs(folder)}
    name = f"{whole.name}, {len(kept)} held-out photographs"
    return Corpus(
        "population",
        Pictures(_cached(for_probes, f"{whole.name}, training photographs", "population for probes", cache)),
        Pictures(_cached(test, name, "population test", cache), lambda item: decode(paths[item.reference])),
    )


def _authentic(folder: Path, cache: str | os.PathLike[str]) -> Corpus:
    whole = replace(open_set("folder", folder), name=AUTHENTIC)
    training, test = split_by_reference(whole, (1 - AUTHENTIC_HELD_OUT, AUTHENTIC_HELD_OUT), seed=SEED)
    return Corpus(
        "authentic",
        Pictures(_cached(training, f"{AUTHENTIC}, {len(training)} for training", AUTHENTIC, cache)),
        Pictures(_cached(test, f"{AUTHENTIC}, {len(test)} held out", f"{AUTHENTIC} held out", cache)),
    )


def _cached(samples: QualitySet, name: str, file: str, cache: str | os.PathLike[str]) -> QualitySet:
    """``samples`` called ``name``, their pictures in the cache that training calls ``file``."""
    pictures = PictureCache.of_samples(cache, file, samples.samples)
    loaded = [
        replace(item, load=partial(pictures.__getitem__, index)) for index, item in enumerate(samples.samples)
    ]
    return replace(samples, name=name, samples=tuple(loaded))
