"""Data sets of human opinion under one convention: score on 0..1, higher is better, splits by reference."""

from __future__ import annotations

from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.data.datasets.catalogue import NAMES, open_set
from crossiqa_edge.data.datasets.splits import split_by_reference, ten_splits

__all__ = ["NAMES", "QualitySet", "Sample", "open_set", "split_by_reference", "ten_splits"]
