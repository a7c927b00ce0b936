"""``Evaluation``: what measuring a model against a data set gave, as JSON, as a table, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from crossiqa_edge.card import ModelCard
from crossiqa_edge.data.datasets.base import Sample
from crossiqa_edge.training.coverage import Coverage
from crossiqa_edge.training.metrics import (
    Agreement,
    LevelOrder,
    Values,
    agreement,
    json_number,
    level_order,
    median_agreement,
)

if TYPE_CHECKING:
    from rich.table import Table

BANDS = ("low", "high", "mixed")
HEADER = ("group", "n", "SRCC", "95 % of SRCC", "PLCC", "KRCC", "RMSE", "in order")
POINTS = 100.0  # opinions are 0..1 inside; errors are told in points of the product's 0..100


@dataclass(frozen=True)
class Part:
    """Predictions for all of a set, or for the test part of one split of it.

    Attributes:
        samples: N samples.
        predicted: float64 (N,), higher is better, on the predictor's own scale.
        split: number of the split, None for the whole set.
    """

    samples: tuple[Sample, ...]
    predicted: Values
    split: int | None = None

    def where(self, keep: Callable[[Sample], bool]) -> Part:
        """The samples for which ``keep`` holds, with their predictions."""
        chosen = [index for index, sample in enumerate(self.samples) if keep(sample)]
        return Part(tuple(self.samples[index] for index in chosen), self.predicted[chosen], self.split)

    @property
    def agreement(self) -> Agreement:
        """The figures of this part; RMSE in points of 0..100."""
        return agreement(self.predicted, [POINTS * sample.score for sample in self.samples])

    @property
    def order(self) -> LevelOrder:
        """Order of the predictions over the levels of each (reference, distortion), 1 being the mildest."""
        series: dict[tuple[str, str], dict[int, float]] = {}
        for sample, value in zip(self.samples, self.predicted, strict=True):
            if sample.distortion is not None and sample.level is not None:
                series.setdefault((sample.reference, sample.distortion), {})[sample.level] = float(value)
        ladders = [[levels[level] for level in sorted(levels)] for levels in series.values()]
        return level_order(ladder for ladder in ladders if len(ladder) > 1)


@dataclass(frozen=True)
class Group:
    """The figures of one group: everything, one band, or one distortion type.

    With several parts the agreement is the median over them, and the order is counted over all.
    """

    name: str
    agreement: Agreement
    order: LevelOrder

    @classmethod
    def of(cls, name: str, parts: Sequence[Part]) -> Group:
        """The group's figures from parts that hold its samples only."""
        figures = [part.agreement for part in parts]
        order = sum((part.order for part in parts), LevelOrder())
        return cls(name, figures[0] if len(figures) == 1 else median_agreement(figures), order)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {**self.agreement.to_dict(), "order": self.order.to_dict() if self.order.series else None}


@dataclass(frozen=True)
class Splits:
    """The test parts of seeded 80/20 splits by reference.

    Attributes:
        count: number of splits.
        seed: of the first; each next one has the next seed.
        median: figure by figure the median over the test parts.
        srcc_quartiles: (25 %, 75 %) of the SRCC over the test parts.
    """

    count: int
    seed: int
    median: Agreement
    srcc_quartiles: tuple[float, float]

    @classmethod
    def of(cls, parts: Sequence[Part], seed: int) -> Splits:
        """The summary of the test parts."""
        figures = [part.agreement for part in parts]
        ranks = [figure.srcc for figure in figures if not math.isnan(figure.srcc)] or [math.nan]
        low, high = np.quantile(ranks, (0.25, 0.75))
        return cls(len(parts), seed, median_agreement(figures), (float(low), float(high)))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "count": self.count,
            "seed": self.seed,
            "median": self.median.to_dict(),
            "srcc_quartiles": [json_number(edge) for edge in self.srcc_quartiles],
        }


@dataclass(frozen=True)
class Evaluation:
    """One model on one data set.

    Attributes:
        model: what made the predictions.
        data: name of the data set.
        protocol: how it was measured, in words.
        parts: the predictions: one part, or a test part a split where each split has a probe of its own.
        splits: None where the set's references do not suffice for a split.
        skipped: key of each sample that could not be read, with the reason.
        overall, bands, distortions: the figures; bands and distortions in a fixed order.
        coverage: how many opinions lay inside the model's intervals; None where it gives none.
    """

    model: str
    data: str
    protocol: str
    parts: tuple[Part, ...]
    splits: Splits | None
    skipped: Mapping[str, str]
    overall: Group
    bands: tuple[Group, ...]
    distortions: tuple[Group, ...]
    coverage: Coverage | None = None

    @classmethod
    def of(
        cls,
        *,
        model: str,
        data: str,
        protocol: str,
        parts: Sequence[Part],
        splits: Splits | None,
        skipped: Mapping[str, str],
    ) -> Evaluation:
        """Work out the figures of all groups from the predictions."""
        known = {sample.distortion: None for part in parts for sample in part.samples}
        types = sorted(name for name in known if name is not None)
        return cls(
            model,
            data,
            protocol,
            tuple(parts),
            splits,
            dict(skipped),
            Group.of("overall", parts),
            _groups(parts, BANDS, lambda sample: sample.band),
            _groups(parts, types, lambda sample: sample.distortion),
        )

    def to_dict(self) -> dict[str, Any]:
        """One JSON document; a figure that does not exist is null. Keys are only ever added."""
        return {
            "model": self.model,
            "data": self.data,
            "protocol": self.protocol,
            "overall": self.overall.to_dict(),
            "by_band": {group.name: group.to_dict() for group in self.bands},
            "by_distortion": {group.name: group.to_dict() for group in self.distortions},
            "splits": None if self.splits is None else self.splits.to_dict(),
            "interval_coverage": None if self.coverage is None else self.coverage.to_dict(),
            "skipped": dict(self.skipped),
        }

    def to_table(self) -> Table:
        """A table for the terminal."""
        from rich.table import Table

        table = Table(title=self._title, caption=self._caption, title_justify="left", caption_justify="left")
        for index, name in enumerate(HEADER):
            table.add_column(name, justify="right" if index else "left", no_wrap=True)
        for rows in self._sections():
            for row in rows:
                table.add_row(*row)
            table.add_section()
        return table

    def to_markdown(self) -> str:
        """The same as a Markdown table under a heading."""
        lines = ["| " + " | ".join(HEADER) + " |", "|---" + "|---:" * (len(HEADER) - 1) + "|"]
        lines += ["| " + " | ".join(row) + " |" for rows in self._sections() for row in rows]
        return "\n".join([f"### {self._title}", "", *lines, "", self._caption, ""])

    def with_coverage(self, card: ModelCard) -> Evaluation:
        """The same, with the coverage of the intervals that ``card`` gives to the predictions.

        Only where the model was measured as it is: the predictions are its scores, 0..100.
        """
        (part,) = self.parts
        opinions = np.array([POINTS * sample.score for sample in part.samples])
        return replace(self, coverage=Coverage.of(card, part.predicted, opinions))

    @property
    def _title(self) -> str:
        return f"{self.model} on {self.data}"

    @property
    def _caption(self) -> str:
        notes = [self.protocol, "RMSE in points of 100 after the logistic fit"]
        if self.distortions:
            notes.append("in order: share of the series whose scores fall with every level")
        if self.splits is not None and not math.isnan(self.splits.median.srcc):
            low, high = self.splits.srcc_quartiles
            notes.append(f"quartiles of SRCC over the splits {low:.3f} and {high:.3f}")
        if self.coverage is not None:
            notes.append(str(self.coverage))
        if count := len(self.skipped):
            notes.append(f"{count} sample{'s' * (count > 1)} could not be read")
        return "; ".join(notes) + "."

    def _sections(self) -> list[list[tuple[str, ...]]]:
        first = [_row("overall", self.overall.agreement, self.overall.order)]
        if self.splits is not None and len(self.parts) == 1:  # else overall is that median already
            first.append(_row(f"median of {self.splits.count} splits", self.splits.median, LevelOrder()))
        named = [
            [_row(group.name, group.agreement, group.order) for group in groups]
            for groups in (self.bands, self.distortions)
        ]
        return [first, *(rows for rows in named if rows)]


def _groups(
    parts: Sequence[Part], names: Sequence[str], name_of: Callable[[Sample], str | None]
) -> tuple[Group, ...]:
    """The groups among ``names`` that have samples, in that order."""
    groups = []
    for name in names:
        chosen = [part.where(partial(_is_called, name_of, name)) for part in parts]
        if present := [part for part in chosen if part.samples]:
            groups.append(Group.of(name, present))
    return tuple(groups)


def _is_called(name_of: Callable[[Sample], str | None], name: str, sample: Sample) -> bool:
    return name_of(sample) == name


def _row(name: str, figures: Agreement, order: LevelOrder) -> tuple[str, ...]:
    low, high = figures.interval
    return (
        name,
        str(figures.n),
        _figure(figures.srcc),
        "–" if math.isnan(low) else f"{low:.3f} {high:.3f}",
        _figure(figures.plcc),
        _figure(figures.krcc),
        "–" if math.isnan(figures.rmse) else f"{figures.rmse:.1f}",
        f"{order.series_right / order.series:.0%}" if order.series else "–",
    )


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
