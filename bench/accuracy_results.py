"""Looking up figures: which rows of ``figures.jsonl`` are of today's model, and what they say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from crossiqa_edge.bench.accuracy_rows import OVERALL, in_views
from crossiqa_edge.bench.jsonl import Row
from crossiqa_edge.errors import InputError

CORPORA = ("tid", "population", "authentic")
BANDS = ("low", "high", "mixed")

Group = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """The rows of one file.

    Today's model is the last float32 one of its size whose figures were added; rows of another set than it
    was measured on, or of an earlier model, do not stand beside it.

    Attributes:
        rows: of all models, peers and yardsticks.
        size: the member of the family that is asked about.
    """

    rows: Sequence[Row]
    size: str = "nano"

    @property
    def measured(self) -> bool:
        """Whether there is such a model."""
        return bool(self._models())

    @property
    def model(self) -> Row:
        """The row of today's float32 model on the first corpus.

        Raises:
            InputError: no float32 model was measured.
        """
        found = self._models()
        if not found:
            raise InputError(
                f"no figures of {self.size} in float32; python -m crossiqa_edge.bench.accuracy makes some"
            )
        return found[-1]

    @property
    def model_before(self) -> Row | None:
        """The same of the model measured before today's."""
        earlier = [row for row in self._models() if row["digest"] != self.model["digest"]]
        return earlier[-1] if earlier else None

    @property
    def precisions(self) -> list[Row]:
        """Rows on the first corpus of today's model in other precisions: the last of each name."""
        found = {row["column"]: row for row in self._agreements("model") if row["corpus"] == CORPORA[0]}
        return [
            row
            for name, row in found.items()
            if name.split()[0] == self.size
            and "," not in name  # as it is read usually
            and name != self.model["column"]
            and row["made"] >= self.model["made"]
        ]

    def names(self, role: str) -> list[str]:
        """Columns of this role that were measured on today's sets, in the order of their first rows."""
        return list(dict.fromkeys(row["column"] for row in self._agreements(role)))

    def agreement(
        self, column: str, corpus: str, *, digest: str | None = None, trained_on: str | None = None
    ) -> Row | None:
        """The last row about ``column`` on ``corpus``; of one digest, of one probe, where they are given."""
        found = [
            row
            for row in self._all("agreement")
            if (row["column"], row["corpus"], row["trained_on"]) == (column, corpus, trained_on)
            and digest in (None, row["digest"])
            and row["set_digest"] == self._set(corpus)
        ]
        return found[-1] if found else None

    def group(self, column: str, corpus: str, name: str = OVERALL, **which: str | None) -> Group | None:
        """The figures of one group, None where they were not measured."""
        row = self.agreement(column, corpus, **which)
        found: Group | None = None if row is None else row["groups"].get(name)
        return found

    def ours(self, corpus: str, name: str = OVERALL) -> Group | None:
        """Those of today's model."""
        return self.group(self.model["column"], corpus, name, digest=self.model["digest"])

    def read_in(self, views: int | None, corpus: str, name: str = OVERALL) -> Group | None:
        """Those of today's model with so many views a picture; None for the usual number."""
        column, _, digest = in_views(self.model["column"], self.model["digest"], views)
        return self.group(column, corpus, name, digest=digest)

    def types(self, corpus: str) -> list[str]:
        """Names of the single types of a corpus."""
        row = self.agreement(self.model["column"], corpus, digest=self.model["digest"])
        return (
            [name for name in row["groups"] if name not in (OVERALL, *BANDS) and " " not in name]
            if row
            else []
        )

    def set_name(self, corpus: str) -> str:
        """What the test of a corpus is called."""
        row = self.agreement(self.model["column"], corpus, digest=self.model["digest"])
        name: str = row["set"] if row else corpus
        return name

    def difference(self, peer: str, corpus: str, name: str) -> Group | None:
        """SRCC of today's model less the peer's, with its interval."""
        found = [
            row
            for row in self._all("difference")
            if (row["digest"], row["peer"], row["corpus"]) == (self.model["digest"], peer, corpus)
            and row["set_digest"] == self._set(corpus)
        ]
        figures: Group | None = found[-1]["groups"].get(name) if found else None
        return figures

    def fact(self, kind: str, column: str | None = None, digest: str | None = None) -> Row | None:
        """The last row of another kind; about one column, of one digest, where they are given."""
        found = [
            row
            for row in self._all(kind)
            if column in (None, row["column"]) and digest in (None, row["digest"])
        ]
        return found[-1] if found else None

    def _models(self) -> list[Row]:
        return [
            row
            for row in self._agreements("model")
            if row["corpus"] == CORPORA[0] and row["column"] == f"{self.size} fp32"
        ]

    def _agreements(self, role: str) -> Iterator[Row]:
        return (row for row in self._all("agreement") if row["role"] == role)

    def _all(self, kind: str) -> Iterator[Row]:
        return (row for row in self.rows if row["kind"] == kind)

    def _set(self, corpus: str) -> str | None:
        """Digest of the set on which today's model was measured."""
        found = [
            row
            for row in self._agreements("model")
            if (row["digest"], row["corpus"]) == (self.model["digest"], corpus)
        ]
        digest: str | None = found[-1]["set_digest"] if found else None
        return digest
