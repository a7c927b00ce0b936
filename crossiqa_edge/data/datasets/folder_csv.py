"""Anybody's own set: a folder of pictures and a CSV table of scores."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.data.datasets.release import find, is_there, quality_set, unit_score
from crossiqa_edge.data.datasets.scale import check_scale, likely_scale
from crossiqa_edge.data.datasets.tables import number, read_csv, whole
from crossiqa_edge.errors import DatasetError
from crossiqa_edge.imaging.decode import decode


def folder_csv(
    root: str | os.PathLike[str],
    csv: str | os.PathLike[str] = "labels.csv",
    *,
    file_column: str = "file",
    score_column: str = "mos",
    native_range: tuple[float, float] | None = None,
    reference_column: str | None = None,
    distortion_column: str | None = None,
    level_column: str | None = None,
    name: str | None = None,
) -> QualitySet:
    """A labelled folder.

    Args:
        root: folder of the pictures.
        csv: UTF-8 table with a header; a relative path starts at ``root``.
        file_column: column of the picture's path relative to ``root``; it becomes the sample's key.
        score_column: column of the opinion.
        native_range: (worst, best) of that column; (100, 0) for a DMOS where 0 is best. None takes the
            narrowest usual scale that holds all opinions, see ``likely_scale``.
        reference_column: column of the pristine content's identity; without it each picture is its own.
        distortion_column, level_column: columns of the distortion's name and whole-number level.
        name: what results call the set; the folder's name by default.

    Raises:
        DatasetError: no such folder or table, a column or a picture missing, a score outside the range or
            outside all usual ones.
        ConfigError: a range without extent or end.
    """
    if native_range is not None:
        check_scale(native_range)
    folder = Path(root)
    table = find(folder, [os.fspath(csv)], "give the pictures' folder, and the table's path with csv=")
    optional = [column for column in (reference_column, distortion_column, level_column) if column]
    rows = list(read_csv(table, [file_column, score_column, *optional]))
    scale = native_range or _scale_of(table, [number(row[score_column], where) for where, row in rows])

    def samples() -> Iterator[Sample]:
        for where, row in rows:
            file = row[file_column]
            if not is_there(folder / file):
                raise DatasetError(f"{where}: {folder / file} is missing; add the picture or drop the row")
            yield Sample(
                key=file,
                score=unit_score(row[score_column], scale, where),
                reference=row[reference_column] if reference_column else file,
                load=partial(decode, folder / file),
                distortion=row[distortion_column] if distortion_column else None,
                level=whole(row[level_column], where) if level_column else None,
            )

    return quality_set(name or folder.resolve().name, samples(), scale, table)


def _scale_of(table: Path, opinions: Sequence[float]) -> tuple[float, float]:
    if not opinions:
        raise DatasetError(f"{table}: not a single picture is listed; check that the file is complete")
    scale = likely_scale(opinions)
    if scale is None:
        raise DatasetError(
            f"{table}: opinions from {min(opinions):g} to {max(opinions):g} are on no usual scale; say which "
            "with native_range=WORST,BEST"
        )
    return scale
