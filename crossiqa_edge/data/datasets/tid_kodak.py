"""'TID2013-Kodak (rebuilt)': TID2013's opinions on pictures made again from the Kodak suite.

References 1..16 of TID2013 are cut out of the Kodak pictures 01..16, whose corners are known
(``tid_crops``), and its distortions follow parameters that are known, too
(``crossiqa_edge.data.degradations.tid2013``). So a distorted picture can be made again, for most types
to the PSNR that the release publishes for it, and carry its opinion. Results on this set bear its full
name: they are not results on TID2013.

Opinions: N. Ponomarenko et al., "Image database TID2013: Peculiarities, results and perspectives",
Signal Processing: Image Communication 30 (2015) 57-77.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.data.datasets.release import find, quality_set, unit_score
from crossiqa_edge.data.datasets.tables import read_csv, whole
from crossiqa_edge.data.datasets.tid_crops import tid_reference
from crossiqa_edge.data.degradations.registry import LEVELS, every, get
from crossiqa_edge.errors import ConfigError, DatasetError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import Frame

NAME = "TID2013-Kodak (rebuilt)"
NATIVE_RANGE = (0.0, 9.0)

Opinions = dict[tuple[int, int, int], float]  # (reference, type number, published level) -> 0..1


def tid_kodak(
    kodak_dir: str | os.PathLike[str],
    opinions_csv: str | os.PathLike[str],
    references: Iterable[int] = range(1, 17),
    types: Sequence[str] | None = None,
) -> QualitySet:
    """The rebuilt set; each load makes its picture anew, which takes a search for the PSNR: cache it.

    Args:
        kodak_dir: folder with ``kodim01.png`` .. ``kodim16.png``, or those of ``references``.
        opinions_csv: table with the columns reference, type, level, mos (0..9).
        references: numbers of the Kodak pictures.
        types: names of rebuilt degradations (``tid_*``); all by default.

    Returns:
        the set in the order of references, types, levels; ``level`` is severity 1..5 and ``key`` is the
        release's own file name stem, whose level number may differ from the severity.

    Raises:
        DatasetError: folder, picture or table missing, or an opinion absent from the table.
        ConfigError: a type that is not one of the rebuilt ones.
    """
    folder, table = Path(kodak_dir), Path(opinions_csv)
    find(folder, ["."], "give the folder of kodim01.png and on")
    kinds = every("tid2013") if types is None else tuple(map(get, types))
    foreign = [kind.name for kind in kinds if kind.family != "tid2013"]
    if foreign:
        raise ConfigError(f"{foreign[0]!r} is not a rebuilt type of TID2013; those begin with tid_")
    opinions = _read_opinions(table)

    def samples() -> Iterator[Sample]:
        for reference in references:
            path = find(folder, [f"kodim{reference:02d}.png"], "give the folder of the Kodak pictures")
            for kind in kinds:
                for level in range(1, LEVELS + 1):
                    row = (reference, kind.number, kind.published_levels[level - 1])
                    if row not in opinions:
                        raise DatasetError(f"{table}: no opinion for reference, type, level {row}")
                    yield Sample(
                        key="i{:02d}_{:02d}_{}".format(*row),
                        score=opinions[row],
                        reference=path.stem,
                        load=partial(_rebuilt, path, kind.name, level),
                        distortion=kind.name,
                        level=level,
                        band=kind.band,
                    )

    return quality_set(NAME, samples(), NATIVE_RANGE, table)


def tid_kodak_root(
    root: str | os.PathLike[str],
    opinions_csv: str | os.PathLike[str] = "opinions/tid2013_kodak01-16.csv",
    references: Iterable[int] = range(1, 17),
    types: Sequence[str] | None = None,
) -> QualitySet:
    """``tid_kodak`` from one folder: the pictures in its subfolder ``kodak``, or in itself where it has none.

    A relative ``opinions_csv`` starts at ``root``.
    """
    folder = Path(root)
    hint = "give the folder with kodak/ and the table, and the table's path with opinions_csv="
    pictures = find(folder, ["kodak", "."], hint)
    return tid_kodak(pictures, find(folder, [os.fspath(opinions_csv)], hint), references, types)


def _read_opinions(table: Path) -> Opinions:
    columns = ("reference", "type", "level", "mos")
    return {
        (whole(row["reference"], where), whole(row["type"], where), whole(row["level"], where)): unit_score(
            row["mos"], NATIVE_RANGE, where
        )
        for where, row in read_csv(table, columns)
    }


def _rebuilt(path: Path, name: str, level: int) -> Frame:
    """Seeded by the picture, so that no two references share their noise."""
    number = int(path.stem[-2:])
    return get(name)(tid_reference(decode(path), number), level, seed=number)
