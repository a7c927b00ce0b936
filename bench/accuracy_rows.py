"""What columns and sets come to: rows of figures, one JSON object a line, appended and never rewritten.

A row holds figures only, no picture and no opinion. Where several rows tell the same of the same column and
set, the last one counts.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crossiqa_edge.bench.jsonl import Row, parsed
from crossiqa_edge.data.datasets.base import Sample
from crossiqa_edge.errors import InputError
from crossiqa_edge.training.bootstrap import Counts, interval, resampled_srcc, resamples
from crossiqa_edge.training.evaluation import BANDS, Part
from crossiqa_edge.training.metrics import LevelOrder, json_number, level_order

if TYPE_CHECKING:
    from crossiqa_edge.bench.accuracy_columns import Column, Role, Rows
    from crossiqa_edge.bench.accuracy_sets import Corpus, Pictures

FIGURES = "figures.jsonl"  # in a folder of results

FORMAT = 1
TUNED_SPLITS = "tuned splits"  # kind of the row about whole networks that were trained for each split
OVERALL = "overall"
MORE_VIEWS = (5, 9)  # a picture, that a model is measured with beside the usual one
CLASSICAL = "five classical types"  # those that nearly every data set has
_CLASSICAL = frozenset(
    {"tid_white_noise", "tid_gaussian_blur", "tid_jpeg", "tid_jpeg2000", "tid_multiplicative_noise"}
)


def agreement_row(column: Column, corpus: Corpus, values: Rows, trained_on: str | None = None) -> Row:
    """The figures of scores ``values`` (N,) on the test of ``corpus``, overall and for every group.

    Args:
        trained_on: key of the corpus that a linear probe learnt from, where one made the scores.
    """
    part = Part(corpus.test.quality_set.samples, values)
    counts = _counts(corpus.test)
    figures = {}
    for name, keep in groups(part.samples).items():
        chosen = _rows(part.samples, keep)
        few = part.where(keep)
        found = few.agreement
        low, high = interval(
            resampled_srcc(few.predicted, np.array([item.score for item in few.samples]), counts[:, chosen])
        )
        order, clear = few.order, _clear_order(few)
        figures[name] = {
            "n": found.n,
            "srcc": json_number(found.srcc),
            "interval": [json_number(low), json_number(high)],
            "plcc": json_number(found.plcc),
            "series": order.series,
            "series_right": order.series_right,
            "clear_series": clear.series,
            "clear_right": clear.series_right,
        }
    return {**_head("agreement", column, corpus), "trained_on": trained_on, "groups": figures}


def difference_row(ours: Column, peer: Column, corpus: Corpus, values: Rows, of_peer: Rows) -> Row:
    """SRCC of ``ours`` less that of ``peer`` in every group, with intervals over the same resamples."""
    samples, opinions = corpus.test.quality_set.samples, corpus.test.quality_set.scores
    counts = _counts(corpus.test)
    figures = {}
    for name, keep in groups(samples).items():
        chosen = _rows(samples, keep)
        whole = np.ones((1, chosen.size), np.int64)  # every sample once: no resample but the set itself
        drawn = np.vstack([whole, counts[:, chosen]])
        first, second = (resampled_srcc(side[chosen], opinions[chosen], drawn) for side in (values, of_peer))
        change = first - second
        low, high = interval(change[1:])
        figures[name] = {
            "difference": json_number(float(change[0])),
            "interval": [json_number(low), json_number(high)],
        }
    begun = _head("difference", ours, corpus)
    return {**begun, "peer": peer.name, "peer_digest": peer.digest, "groups": figures}


def groups(samples: Sequence[Sample]) -> dict[str, Callable[[Sample], bool]]:
    """Which samples belong to which group: everything, the classical types, each band, each type."""
    types = sorted({item.distortion for item in samples if item.distortion is not None})
    chosen: dict[str, Callable[[Sample], bool]] = {OVERALL: lambda item: True}
    if set(types) > _CLASSICAL:
        chosen[CLASSICAL] = lambda item: item.distortion in _CLASSICAL
    for band in BANDS:
        if any(item.band == band for item in samples):
            chosen[band] = partial(_is_in_band, band)
    for kind in types:
        chosen[kind] = partial(_is_of_type, kind)
    return chosen


def read(path: str | os.PathLike[str]) -> list[Row]:
    """All rows of a file of figures.

    Raises:
        InputError: no such file, no rows, or a line that is no row of this format.
    """
    rows = [_checked(row, where) for where, row in parsed(path)]
    if not rows:
        raise InputError(f"{path}: no figures in it; make some with python -m crossiqa_edge.bench.accuracy")
    return rows


def known(path: str | os.PathLike[str], kind: str, column: Column, **values: Any) -> bool:
    """Whether the file has a row of this kind about ``column``, with these values."""
    wanted = {"kind": kind, "digest": column.digest, "column": column.name, **values}
    rows = read(path) if Path(path).is_file() else []
    return any(all(row.get(name) == value for name, value in wanted.items()) for row in rows)


def fact_row(kind: str, column: Column, **values: Any) -> Row:
    """A row of another kind about ``column``."""
    return {**head(kind, column.name, column.role, column.digest), **values}


def _checked(row: Row, where: str) -> Row:
    if row.get("format") != FORMAT or "kind" not in row:
        raise InputError(f"{where}: no figures in format {FORMAT}; measure again")
    return row


def head(kind: str, column: str, role: Role, digest: str) -> Row:
    """What every row begins with: of which kind it is, from when, about whom."""
    made = datetime.now(timezone.utc).isoformat(timespec="seconds")
    about = {"column": column, "role": role, "digest": digest}
    return {"format": FORMAT, "kind": kind, "made": made, **about}


def _head(kind: str, column: Column, corpus: Corpus) -> Row:
    begun = head(kind, column.name, column.role, column.digest)
    return {**begun, "corpus": corpus.key, "set": corpus.test.name, "set_digest": corpus.test.digest}


def _counts(pictures: Pictures) -> Counts:
    return resamples([item.reference for item in pictures.quality_set.samples])


def _rows(samples: Sequence[Sample], keep: Callable[[Sample], bool]) -> np.ndarray[Any, np.dtype[np.intp]]:
    return np.array([index for index, item in enumerate(samples) if keep(item)], np.intp)


def _is_in_band(band: str, item: Sample) -> bool:
    return item.band == band


def _is_of_type(kind: str, item: Sample) -> bool:
    return item.distortion == kind


def _clear_order(part: Part) -> LevelOrder:
    """The order of the series whose opinions, too, fall with every level."""
    series: dict[tuple[str, str], list[tuple[int, float, float]]] = {}
    for item, value in zip(part.samples, part.predicted, strict=True):
        if item.distortion is not None and item.level is not None:
            series.setdefault((item.reference, item.distortion), []).append((item.level, item.score, value))
    falling = [
        [value for _, _, value in ladder]
        for ladder in map(sorted, series.values())
        if len(ladder) > 1 and all(a[1] > b[1] for a, b in pairwise(ladder))
    ]
    return level_order(falling)


def in_views(name: str, digest: str, views: int | None) -> tuple[str, Role, str]:
    """Name, role and digest of a model's column that has so many views a picture; None for the usual one."""
    if views is None:
        return name, "model", digest
    return f"{name}, {views} views", "model", f"{digest}-{views}-views"


def picture_name(kind: str, size: str) -> str:
    """Name of a picture about a member of the family: ``kind`` is scatter or types."""
    return f"{kind}-{size}.webp"


def share(right: int, total: int) -> float:
    """``right`` of ``total``; NaN of nothing."""
    return right / total if total else math.nan
