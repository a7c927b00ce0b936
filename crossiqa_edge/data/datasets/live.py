"""LIVE Image Quality Assessment Database, release 2: 29 references, five distortion types, 779 pictures.

H. R. Sheikh, M. F. Sabir, A. C. Bovik, "A Statistical Evaluation of Recent Full Reference Image Quality
Assessment Algorithms", IEEE Transactions on Image Processing 15 (2006) 3440-3451.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from crossiqa_edge.data.datasets.base import Band, QualitySet, Sample
from crossiqa_edge.data.datasets.release import PictureFolder, find, quality_set, unit_score
from crossiqa_edge.data.datasets.tables import read_mat
from crossiqa_edge.errors import DatasetError

NAME = "LIVE"
# Realigned DMOS of the distorted pictures run from -2.6 to 111.8: lower is better, and beyond 0..100.
NATIVE_RANGE = (112.0, -3.0)

# The tables list img1.bmp, img2.bmp, ... of these folders, in this order.
FOLDERS: dict[str, tuple[int, Band]] = {
    "jp2k": (227, "mixed"),
    "jpeg": (233, "high"),
    "wn": (174, "high"),
    "gblur": (174, "low"),
    "fastfading": (174, "mixed"),
}
_HINT = "give the folder databaserelease2 of LIVE's archive (dmos_realigned.mat is a download beside it)"


def live(root: str | os.PathLike[str]) -> QualitySet:
    """The released set with its realigned scores; the copies of the originals in it are left out.

    Needs ``dmos_realigned.mat`` (dmos_new, orgs), ``refnames_all.mat`` and the five folders.

    Raises:
        DatasetError: another folder, a missing picture, or tables that are not the release's.
        MissingDependencyError: SciPy is not installed.
    """
    folder = Path(root)
    scores = find(folder, ["dmos_realigned.mat"], _HINT)
    names = find(folder, ["refnames_all.mat"], _HINT)
    columns = read_mat(scores, "dmos_new"), read_mat(scores, "orgs"), read_mat(names, "refnames_all")
    expected = sum(count for count, _ in FOLDERS.values())
    if any(len(column) != expected for column in columns):
        found = "/".join(str(len(column)) for column in columns)
        raise DatasetError(
            f"{folder}: {found} scores, marks and names where release 2 has {expected}; {_HINT}"
        )

    def samples() -> Iterator[Sample]:
        rows = zip(*columns, strict=True)
        for kind, (count, band) in FOLDERS.items():
            pictures = PictureFolder(find(folder, [kind], _HINT))
            for index in range(1, count + 1):
                dmos, is_original, reference = next(rows)
                if is_original:
                    continue
                file = f"img{index}.bmp"
                yield Sample(
                    key=f"{kind}/{file}",
                    score=unit_score(dmos, NATIVE_RANGE, f"{scores}: {kind}/{file}"),
                    reference=Path(str(reference)).stem,
                    load=pictures[file],
                    distortion=kind,
                    band=band,
                )

    return quality_set(NAME, samples(), NATIVE_RANGE, scores)
