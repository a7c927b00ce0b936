"""SPAQ: 11,125 photographs taken with 66 smartphones.

Y. Fang, H. Zhu, Y. Zeng, K. Ma, Z. Wang, "Perceptual Quality Assessment of Smartphone Photography",
CVPR 2020.
"""

from __future__ import annotations

import os
from pathlib import Path

from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.data.datasets.release import PictureFolder, find, quality_set, unit_score
from crossiqa_edge.data.datasets.tables import read_xlsx

NAME = "SPAQ"
NATIVE_RANGE = (0.0, 100.0)

_TABLE = "MOS and Image attribute scores.xlsx"
_HINT = "give the folder with SPAQ's TestImage/ and Annotations/"


def spaq(root: str | os.PathLike[str]) -> QualitySet:
    """The released set: ``TestImage/`` and the workbook in ``Annotations/`` (Image name, MOS).

    A picture is its own reference. Pictures have the cameras' full resolution.

    Raises:
        DatasetError: another folder, a missing picture, or a table that is not the release's.
        MissingDependencyError: openpyxl is not installed.
    """
    folder = Path(root)
    table = find(folder, [f"Annotations/{_TABLE}"], _HINT)
    pictures = PictureFolder(find(folder, ["TestImage"], _HINT))
    samples = (
        Sample(
            key=str(row["Image name"]),
            score=unit_score(row["MOS"], NATIVE_RANGE, where),
            reference=str(row["Image name"]),
            load=pictures[str(row["Image name"])],
        )
        for where, row in read_xlsx(table, ["Image name", "MOS"])
    )
    return quality_set(NAME, samples, NATIVE_RANGE, table)
