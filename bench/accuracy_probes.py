"""Linear probes on frozen encoders: within one world of opinion, and from one to another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from crossiqa_edge.bench.accuracy_columns import Column, Store
from crossiqa_edge.bench.accuracy_rows import agreement_row, fact_row
from crossiqa_edge.bench.accuracy_sets import SEED, Corpus
from crossiqa_edge.bench.jsonl import Row
from crossiqa_edge.data.datasets.base import QualitySet
from crossiqa_edge.data.datasets.splits import TEN
from crossiqa_edge.training.linear_probe import fit_probe, split_rows
from crossiqa_edge.training.metrics import json_number, srcc


def probe_rows(encoder: Column, corpora: Sequence[Corpus], store: Store) -> Iterator[Row]:
    """A probe learns from the training pictures of each corpus and judges the test pictures of all."""
    for learnt in corpora:
        probe = fit_probe(store(encoder, learnt.training), learnt.training.quality_set, seed=SEED)
        for judged in corpora:
            values = probe(store(encoder, judged.test))
            yield agreement_row(encoder, judged, values, trained_on=learnt.key)


def split_row(encoder: Column, corpus: Corpus, store: Store) -> Row:
    """The field's protocol: median SRCC over ten splits of 80/20, a probe for each, over the whole corpus."""
    parts = (corpus.training, corpus.test)
    samples = tuple(item for part in parts for item in part.quality_set.samples)
    whole = QualitySet(corpus.key, samples, corpus.training.quality_set.native_range)
    features = np.concatenate([store(encoder, part) for part in parts])
    found = []
    for seed in range(SEED, SEED + TEN):
        train, test = split_rows(whole, seed=seed)
        part = replace(whole, samples=tuple(samples[index] for index in train))
        predicted = fit_probe(features[train], part, seed=seed)(features[test])
        found.append(srcc(predicted, whole.scores[test]))
    low, median, high = (float(value) for value in np.quantile(found, (0.25, 0.5, 0.75)))
    return fact_row(
        "splits",
        encoder,
        corpus=corpus.key,
        splits=TEN,
        srcc=json_number(median),
        quartiles=[json_number(low), json_number(high)],
    )
