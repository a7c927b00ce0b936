"""KonIQ-10k: 10,073 photographs with authentic distortions.

V. Hosu, H. Lin, T. Sziranyi, D. Saupe, "KonIQ-10k: An Ecologically Valid Database for Deep Learning of
Blind Image Quality Assessment", IEEE Transactions on Image Processing 29 (2020) 4041-4056.
"""

from __future__ import annotations

import os
from pathlib import Path

from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.data.datasets.release import PictureFolder, find, quality_set, unit_score
from crossiqa_edge.data.datasets.tables import read_csv
from crossiqa_edge.errors import ConfigError

NAME = "KonIQ-10k"
NATIVE_RANGE = (1.0, 100.0)
RESOLUTIONS = ("1024x768", "512x384")

# Both hold the same figures on 1..100, made from each rater's z-scores; in the first, plain MOS is on 1..5.
_COLUMNS = {"koniq10k_scores_and_distributions.csv": "MOS_zscore", "koniq10k_distributions_sets.csv": "MOS"}
_HINT = "give the folder with KonIQ-10k's table and its pictures in 1024x768/ or 512x384/"


def koniq10k(root: str | os.PathLike[str], resolution: str = "1024x768") -> QualitySet:
    """The released set; a picture is its own reference.

    Args:
        root: folder with one of the release's two tables, and of the folder ``resolution``.
        resolution: ``1024x768``, in which people saw the pictures, or ``512x384``; the latter stands in
            the set's name, for results on it are others.

    Raises:
        DatasetError: another folder, a missing picture, or a table that is not the release's.
        ConfigError: another resolution.
    """
    if resolution not in RESOLUTIONS:
        raise ConfigError(
            f"KonIQ-10k has no pictures of {resolution!r}; choose from {', '.join(RESOLUTIONS)}"
        )
    folder = Path(root)
    table = find(folder, list(_COLUMNS), _HINT)
    pictures = PictureFolder(find(folder, [resolution], _HINT))
    column = _COLUMNS[table.name]
    samples = (
        Sample(
            key=row["image_name"],
            score=unit_score(row[column], NATIVE_RANGE, where),
            reference=row["image_name"],
            load=pictures[row["image_name"]],
        )
        for where, row in read_csv(table, ["image_name", column])
    )
    name = NAME if resolution == RESOLUTIONS[0] else f"{NAME} ({resolution})"
    return quality_set(name, samples, NATIVE_RANGE, table)
