"""CSIQ: 30 references, six distortion types at four or five levels, 866 pictures.

E. C. Larson, D. M. Chandler, "Most apparent distortion: full-reference image quality assessment and the
role of strategy", Journal of Electronic Imaging 19 (2010) 011006.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from crossiqa_edge.data.datasets.base import Band, QualitySet, Sample
from crossiqa_edge.data.datasets.release import PictureFolder, find, quality_set, unit_score
from crossiqa_edge.data.datasets.tables import read_lines, read_xlsx, whole
from crossiqa_edge.errors import DatasetError

NAME = "CSIQ"
NATIVE_RANGE = (1.0, 0.0)  # DMOS: 0 is best

BANDS: dict[str, Band] = {
    "awgn": "high",
    "blur": "low",
    "contrast": "low",
    "fnoise": "mixed",  # pink noise: its power falls with frequency
    "jpeg": "high",
    "jpeg2000": "mixed",
}
_WORKBOOK, _LIST = "csiq.DMOS.xlsx", "csiq_label.txt"
_IN_WORKBOOK = {"noise": "awgn", "jpeg 2000": "jpeg2000"}  # where it names a type unlike the files
_FILE = re.compile(r"(\w+)\.(\w+)\.(\d)(?:\.png)?")
_HINT = "give the folder with CSIQ's dst_imgs/ and its table"

Row = tuple[str, str, str, int, object]  # where, reference, type, level, DMOS


def csiq(root: str | os.PathLike[str]) -> QualitySet:
    """The released set: ``dst_imgs/<type>/<reference>.<TYPE>.<level>.png`` and its opinions.

    The opinions are read from ``csiq.DMOS.xlsx`` (sheet all_by_image), or where that is absent from
    ``csiq_label.txt``, the list many people use, with a file name and a DMOS on each line.

    Raises:
        DatasetError: another folder, a missing picture, or a table that is not CSIQ's.
        MissingDependencyError: openpyxl is not installed.
    """
    folder = Path(root)
    table = find(folder, [_WORKBOOK, _LIST], _HINT)
    types = _type_folders(find(folder, ["dst_imgs"], _HINT))

    def samples() -> Iterator[Sample]:
        for where, reference, kind, level, dmos in (
            _workbook(table) if table.suffix == ".xlsx" else _list(table)
        ):
            if kind not in BANDS:
                raise DatasetError(f"{where}: {kind!r} is no distortion type of CSIQ; give its own table")
            if kind not in types:
                raise DatasetError(f"{folder / 'dst_imgs'}: no folder {kind}; unpack all of CSIQ's archive")
            file = f"{reference}.{kind}.{level}.png"
            yield Sample(
                key=file,
                score=unit_score(dmos, NATIVE_RANGE, where),
                reference=reference,
                load=types[kind][file],
                distortion=kind,
                level=level,
                band=BANDS[kind],
            )

    return quality_set(NAME, samples(), NATIVE_RANGE, table)


def _type_folders(parent: Path) -> dict[str, PictureFolder]:
    """By lower-case name: the folders' case differs between copies of the release."""
    return {path.name.casefold(): PictureFolder(path) for path in parent.iterdir() if path.is_dir()}


def _workbook(table: Path) -> Iterator[Row]:
    columns = ("image", "dst_type", "dst_lev", "dmos")
    for where, row in read_xlsx(table, columns, sheet="all_by_image"):
        kind = str(row["dst_type"]).strip().casefold()
        # a reference is called 1600: a number to Excel
        yield (
            where,
            str(row["image"]).strip(),
            _IN_WORKBOOK.get(kind, kind),
            whole(row["dst_lev"], where),
            row["dmos"],
        )


def _list(table: Path) -> Iterator[Row]:
    for line_number, line in read_lines(table):
        where = f"{table}:{line_number}"
        file, _, dmos = line.strip().partition(" ")
        match = _FILE.fullmatch(file)
        if match is None:
            raise DatasetError(f"{where}: {file} is no file name of CSIQ; write e.g. 1600.AWGN.1.png 0.062")
        yield where, match[1], match[2].casefold(), int(match[3]), dmos.strip()
