"""Which photographs are BSDS500's test part, that no recipe with ``bsds_test_apart`` trains on.

The division is that of the release: P. Arbelaez, M. Maire, C. Fowlkes, J. Malik, "Contour Detection and
Hierarchical Image Segmentation", TPAMI 33(5), 2011: 200 to train, 100 to validate, 200 to test.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path, PurePosixPath

from crossiqa_edge.data.datasets.tables import read_csv


@cache
def numbers() -> frozenset[str]:
    """The 200 numbers by which the release names its test pictures."""
    return frozenset(
        row["id"] for _, row in read_csv(Path(__file__).parents[1] / "bsds500_test.csv", ("id",))
    )


def in_test_part(reference: str) -> bool:
    """Whether a photograph is one of them, by its name: its number, or that after a ``b`` (``b100007``).

    Args:
        reference: path of the photograph within its set, with or without the file's ending.
    """
    return PurePosixPath(reference).stem.removeprefix("b") in numbers()
