"""LIVE In the Wild Image Quality Challenge Database: 1,162 photographs with authentic distortions.

D. Ghadiyaram, A. C. Bovik, "Massive Online Crowdsourced Study of Subjective and Objective Picture
Quality", IEEE Transactions on Image Processing 25 (2016) 372-387.
"""

from __future__ import annotations

import os
from pathlib import Path

from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.data.datasets.release import PictureFolder, find, quality_set, unit_score
from crossiqa_edge.data.datasets.tables import read_mat
from crossiqa_edge.errors import DatasetError

NAME = "LIVE-itW"
NATIVE_RANGE = (0.0, 100.0)
EXAMPLES = 7  # the first rows taught the raters their task; they are in another folder and in no result

_HINT = "give the folder ChallengeDB_release of LIVE-itW's archive"


def livec(root: str | os.PathLike[str]) -> QualitySet:
    """The released set: ``Images/``, ``Data/AllImages_release.mat`` and ``Data/AllMOS_release.mat``.

    A picture is its own reference.

    Raises:
        DatasetError: another folder, a missing picture, or tables that are not the release's.
        MissingDependencyError: SciPy is not installed.
    """
    folder = Path(root)
    table = find(folder, ["Data/AllMOS_release.mat"], _HINT)
    scores = read_mat(table, "AllMOS_release")
    names = read_mat(find(folder, ["Data/AllImages_release.mat"], _HINT), "AllImages_release")
    if len(names) != len(scores):
        raise DatasetError(
            f"{table}: {len(scores)} scores for {len(names)} pictures; unpack the archive again"
        )
    pictures = PictureFolder(find(folder, ["Images"], _HINT))
    samples = (
        Sample(
            key=name,
            score=unit_score(score, NATIVE_RANGE, f"{table}: {name}"),
            reference=name,
            load=pictures[name],
        )
        for name, score in zip(map(str, names[EXAMPLES:]), scores[EXAMPLES:], strict=True)
    )
    return quality_set(NAME, samples, NATIVE_RANGE, table)
