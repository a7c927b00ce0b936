"""Where agreement with opinion is lost: ``python -m crossiqa_edge.bench.accuracy_reasons --help``.

Prints, for each model, what SRCC would be without the types that it ranks worst; within four classical types,
whether levels or pictures are confused; and which types' five levels are out of order. Scores and pictures
are those that ``crossiqa_edge.bench.accuracy`` kept in ``--cache``, or are worked out anew.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crossiqa_edge.bench.accuracy_columns import Store, model
from crossiqa_edge.bench.accuracy_sets import corpora
from crossiqa_edge.bench.tables import Cells, markdown
from crossiqa_edge.data.datasets import Sample
from crossiqa_edge.errors import CrossIQAError
from crossiqa_edge.training.metrics import srcc

Values = npt.NDArray[np.float64]

CLASSICAL = ("tid_gaussian_blur", "tid_jpeg", "tid_jpeg2000", "tid_white_noise")
WORST_TYPES, WORST_SERIES = 3, 8


def without_worst(values: Values, samples: Sequence[Sample]) -> tuple[list[str], float, float]:
    """The types that are ranked worst, SRCC over all samples, and over those of other types."""
    scores, types = _column(samples, "score"), _column(samples, "distortion")
    each = {name: srcc(values[types == name], scores[types == name]) for name in sorted(set(types))}
    worst = sorted(each, key=lambda name: each[name])[:WORST_TYPES]
    others = ~np.isin(types, worst)
    return worst, srcc(values, scores), srcc(values[others], scores[others])


def by_reference(values: Values, samples: Sequence[Sample], kind: str) -> tuple[float, dict[str, float]]:
    """SRCC within a reference at least, and with each reference left out, over samples of one type."""
    own = _column(samples, "distortion") == kind
    values, scores = values[own], _column(samples, "score")[own]
    references = _column(samples, "reference")[own]
    names = sorted(set(references))
    within = [srcc(values[references == name], scores[references == name]) for name in names]
    left_out = {name: srcc(values[references != name], scores[references != name]) for name in names}
    return min(within), left_out


def in_order(values: Values, samples: Sequence[Sample]) -> dict[str, list[bool]]:
    """Type -> for each reference, whether scores fall with every level."""
    series: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for sample, value in zip(samples, values, strict=True):
        series.setdefault((str(sample.distortion), str(sample.reference)), []).append(
            (int(sample.level or 0), float(value))
        )
    found: dict[str, list[bool]] = {}
    for (kind, _), points in series.items():
        falling = np.diff([value for _, value in sorted(points)]) < 0
        found.setdefault(kind, []).append(bool(falling.all()))
    return found


def _column(samples: Sequence[Sample], name: str) -> npt.NDArray[np.generic]:
    return np.array([getattr(sample, name) for sample in samples])


def _type_cells(name: str, values: Values, samples: Sequence[Sample]) -> Cells:
    worst, overall, others = without_worst(values, samples)
    return name, f"{overall:.3f}", ", ".join(map(_words, worst)), f"{others:.3f}"


def _reference_cells(name: str, values: Values, samples: Sequence[Sample]) -> Iterator[Cells]:
    for kind in CLASSICAL:
        least, left_out = by_reference(values, samples, kind)
        yield name, _words(kind), f"{least:.2f}", *(f"{value:.3f}" for value in left_out.values())


def _order_cells(name: str, values: Values, samples: Sequence[Sample]) -> Cells:
    found = in_order(values, samples)
    ranked = sorted(found, key=lambda kind: sum(found[kind]))
    worst, others = ranked[:WORST_SERIES], ranked[WORST_SERIES:]
    missing = sum(not right for kind in ranked for right in found[kind])
    theirs = sum(not right for kind in worst for right in found[kind]) / max(missing, 1)
    good = np.mean([right for kind in others for right in found[kind]])
    return name, ", ".join(map(_words, worst)), f"{theirs:.0%}", f"{good:.0%}"


def _words(kind: str) -> str:
    return kind.removeprefix("tid_").replace("_", " ")


def report(data: Path, cache: Path, models: Sequence[str]) -> str:
    """The three tables as Markdown."""
    tid, population, _ = corpora(data, cache)
    store = Store(cache / "figures")
    references = sorted({str(sample.reference) for sample in tid.test.quality_set.samples})
    types: list[Cells] = [("model", "SRCC, all types", "ranked worst", "SRCC without these")]
    pictures: list[Cells] = [
        ("model", "type", "within a picture, at least", *(f"without {name}" for name in references))
    ]
    order: list[Cells] = [
        ("model", "levels most often out of order", "share of all that are", "in order, the other types")
    ]
    for name in models:
        column = model(name)
        values = np.asarray(store(column, tid.test), np.float64).ravel()
        types.append(_type_cells(name, values, tid.test.quality_set.samples))
        pictures += _reference_cells(name, values, tid.test.quality_set.samples)
        values = np.asarray(store(column, population.test), np.float64).ravel()
        order.append(_order_cells(name, values, population.test.quality_set.samples))
    return "\n\n".join(markdown(cells) for cells in (types, pictures, order))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="ROOT", help="where the data sets lie")
    parser.add_argument("--cache", type=Path, required=True, help="folder for scores and decoded pictures")
    parser.add_argument("--model", nargs="+", default=["nano", "tiny"], help="names or files")
    options = parser.parse_args(arguments)
    try:
        print(report(options.data, options.cache, options.model))
    except CrossIQAError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
