"""KADID-10k: 81 references x 25 distortion types x 5 levels, as released.

H. Lin, V. Hosu, D. Saupe, "KADID-10k: A Large-scale Artificially Distorted IQA Database", QoMEX 2019.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.data.datasets.release import PictureFolder, find, quality_set, unit_score
from crossiqa_edge.data.datasets.tables import read_csv
from crossiqa_edge.data.degradations import every
from crossiqa_edge.errors import DatasetError

NAME = "KADID-10k"
NATIVE_RANGE = (1.0, 5.0)  # the column is called dmos, yet 5 is best

_FILE = re.compile(r"I\d+_(\d+)_0?([1-5])\.png", re.IGNORECASE)
_HINT = "give the folder that KADID-10k's archive unpacks to"


def kadid10k(root: str | os.PathLike[str]) -> QualitySet:
    """The released set: ``dmos.csv`` (dist_img, ref_img, dmos, var) beside ``images/``.

    Returns:
        10,125 samples; ``distortion`` is the name of our degradation of that number, ``level`` is severity
        1..5, for two types another number than the release's, see ``Degradation.published_levels``.

    Raises:
        DatasetError: another folder, a missing picture, or a table that is not the release's.
    """
    folder = Path(root)
    table = find(folder, ["dmos.csv"], _HINT)
    pictures = PictureFolder(find(folder, ["images"], _HINT))
    kinds = {kind.number: kind for kind in every("kadid10k")}

    def samples() -> Iterator[Sample]:
        for where, row in read_csv(table, ["dist_img", "ref_img", "dmos"]):
            name = row["dist_img"]
            match = _FILE.fullmatch(name)
            if match is None or int(match[1]) not in kinds:
                raise DatasetError(f"{where}: {name} is no file name of KADID-10k; give the release's table")
            kind = kinds[int(match[1])]
            yield Sample(
                key=name,
                score=unit_score(row["dmos"], NATIVE_RANGE, where),
                reference=Path(row["ref_img"]).stem,
                load=pictures[name],
                distortion=kind.name,
                level=kind.published_levels.index(int(match[2])) + 1,
                band=kind.band,
            )

    return quality_set(NAME, samples(), NATIVE_RANGE, table)
