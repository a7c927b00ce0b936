"""Which points are worth having: those that no other point beats in both latency and accuracy."""

from __future__ import annotations

from collections.abc import Sequence

from crossiqa_edge.bench.jsonl import Row


def per_picture_ms(row: Row) -> float:
    """Milliseconds a picture at the median, whatever the batch."""
    return float(row["latency_ms"]["p50"]) / int(row["batch"])


def srcc_of(row: Row) -> float:
    """Rank correlation with opinion; -1 where it does not exist, which any figure beats."""
    found = row["accuracy"].get("srcc")
    return -1.0 if found is None else float(found)


def front(rows: Sequence[Row]) -> list[Row]:
    """The Pareto front, fastest first: each further point is slower and strictly more accurate.

    Points are compared by milliseconds a picture; of equal ones the first is kept.
    """
    kept: list[Row] = []
    for row in sorted(rows, key=lambda row: (per_picture_ms(row), -srcc_of(row))):
        if not kept or srcc_of(row) > srcc_of(kept[-1]):
            kept.append(row)
    return kept
