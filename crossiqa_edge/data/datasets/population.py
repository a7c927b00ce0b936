"""'Population MOS': pristine photographs, degraded on the fly, with the mean opinion of the degradation.

KADID-10k has 30 ratings each of 81 pictures x 25 distortion types x 5 levels. The mean over the 81
pictures tells most of what the single score tells (Spearman correlation 0.94 between the two), so a
photograph degraded the same way can carry it: human-derived, though blind to content. It is an opinion
of a population of pictures, never of this picture; hence the name.

The same holds for TID2013's types that can be rebuilt (0.93). Their means are over its references 1 to 12
only, so that pictures of references 13 to 16 can be predicted from them without having been asked about.

Source of ``population_mos.csv``: H. Lin, V. Hosu, D. Saupe, "KADID-10k: A Large-scale Artificially
Distorted IQA Database", QoMEX 2019; of ``tid2013_population_mos.csv``: N. Ponomarenko et al., "Image
database TID2013: Peculiarities, results and perspectives", Signal Processing: Image Communication 30
(2015) 57-77.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.data.datasets.release import find, quality_set, unit_score
from crossiqa_edge.data.datasets.tables import number, read_csv, whole
from crossiqa_edge.data.degradations.registry import LEVELS, every, get
from crossiqa_edge.errors import ConfigError, DatasetError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import Frame

NAME = "population MOS"
NATIVE_RANGE = (1.0, 5.0)
TID_NAME = "TID2013 population MOS"
ORDER_NAME = "order of video's levels"
PICTURES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


# family: (table in the data folder, its scale from bad to excellent)
_TABLES = {
    "kadid10k": ("population_mos.csv", NATIVE_RANGE),
    "tid2013": ("tid2013_population_mos.csv", (0.0, 9.0)),
}


@dataclass(frozen=True, slots=True)
class Opinion:
    """What people thought of one (type, level), over ``n`` pictures, on the scale of their study."""

    mean: float
    std: float
    n: int


@cache
def opinions(family: str = "kadid10k") -> dict[tuple[int, int], Opinion]:
    """A shipped table: (type number, published level) -> opinion; 25 types x 5, or TID2013's 24 x 5."""
    path = Path(__file__).parents[1] / _TABLES[family][0]
    columns = ("number", "published_level", "mean", "std", "n")
    return {
        (whole(row["number"], where), whole(row["published_level"], where)): Opinion(
            number(row["mean"], where), number(row["std"], where), whole(row["n"], where)
        )
        for where, row in read_csv(path, columns)
    }


def population_mos(degradation: str, level: int) -> float:
    """Mean opinion on 0..1, higher is better, of a degradation of KADID-10k or TID2013 at our level 1..5.

    The two studies had other viewers and other scales: figures of one do not compare with the other's.

    Raises:
        ConfigError: no such degradation, not one of these two studies', or no such level.
    """
    kind = get(degradation)
    if kind.family not in _TABLES:
        raise ConfigError(
            f"{degradation!r} is no type of KADID-10k or TID2013: nobody was asked about it there"
        )
    if not 1 <= level <= LEVELS:
        raise ConfigError(f"level {level} is not within 1..{LEVELS}")
    mean = opinions(kind.family)[kind.number, kind.published_levels[level - 1]].mean
    return unit_score(mean, _TABLES[kind.family][1], degradation)


def population(
    root: str | os.PathLike[str],
    *,
    types: Sequence[str] | None = None,
    levels: Sequence[int] = tuple(range(1, LEVELS + 1)),
    seed: int = 0,
) -> QualitySet:
    """Every picture under ``root`` with every (type, level) of KADID-10k, degraded when loaded.

    Untouched pictures are not samples: nobody was asked about them, so there is no label for them.

    Args:
        root: folder of pristine photographs, searched with its subfolders.
        types: names of KADID-10k degradations; all 25 by default.
        levels: severities, 1 mild .. 5 severe.
        seed: of the noise; another picture gets other noise, the same call always the same.

    Returns:
        the set; a sample's reference is its picture's path under ``root`` without the suffix.

    Raises:
        DatasetError: no such folder, or not a picture in it.
        ConfigError: an unknown type or level.
    """
    return _degraded_set(NAME, "kadid10k", Path(root), types, levels, seed)


def tid_population(
    root: str | os.PathLike[str],
    *,
    types: Sequence[str] | None = None,
    levels: Sequence[int] = tuple(range(1, LEVELS + 1)),
    seed: int = 0,
) -> QualitySet:
    """``population`` with the rebuilt types of TID2013 and what people thought of them there."""
    return _degraded_set(TID_NAME, "tid2013", Path(root), types, levels, seed)


def video_order(
    root: str | os.PathLike[str],
    *,
    types: Sequence[str] | None = None,
    levels: Sequence[int] = tuple(range(1, LEVELS + 1)),
    seed: int = 0,
) -> QualitySet:
    """``population`` with what video does to frames. Nobody was asked: a score is the level's place in order,
    and compares with that of the same picture and type alone."""
    return _degraded_set(ORDER_NAME, "video", Path(root), types, levels, seed)


def level_order(level: int) -> float:
    """1 for the mildest level, 0 for the harshest."""
    return (LEVELS - level) / (LEVELS - 1)


def _degraded_set(
    name: str, family: str, folder: Path, types: Sequence[str] | None, levels: Sequence[int], seed: int
) -> QualitySet:
    folder = folder.expanduser()
    kinds = every(family) if types is None else tuple(map(get, types))
    foreign = [kind.name for kind in kinds if kind.family != family]
    if foreign:
        raise ConfigError(f"{foreign[0]!r} is not a type of {name}; they are those of {family}")
    judged = family in _TABLES
    labels = [
        (kind, level, population_mos(kind.name, level) if judged else level_order(level))
        for kind in kinds
        for level in levels
    ]

    def samples() -> Iterator[Sample]:
        for path in photographs(folder):
            place = path.relative_to(folder)
            file, reference = place.as_posix(), place.with_suffix("").as_posix()
            own_seed = zlib.crc32(f"{seed}/{reference}".encode(errors="surrogateescape"))
            for kind, level, score in labels:
                yield Sample(
                    key=f"{file}:{kind.name}:{level}",
                    score=score,
                    reference=reference,
                    load=partial(_degraded, path, kind.name, level, own_seed),
                    distortion=kind.name,
                    level=level,
                    band=kind.band,
                )

    return quality_set(name, samples(), _TABLES[family][1] if judged else (0.0, 1.0), folder)


def photographs(root: str | os.PathLike[str]) -> list[Path]:
    """Paths of all pictures under ``root``, in an order that is the same on every system.

    Args:
        root: a leading ``~`` is the home folder. Files that macOS puts beside pictures (``._name``) are none.

    Raises:
        DatasetError: no such folder, or not a picture in it.
    """
    folder = Path(root).expanduser()
    find(folder, ["."], "give a folder of pristine photographs")
    files = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    found = [path for path in files if path.suffix.lower() in PICTURES and not path.name.startswith("._")]
    if not found:
        raise DatasetError(f"{folder}: not a picture here; give a folder of pristine photographs")
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())  # the same on every system


def _degraded(path: Path, name: str, level: int, seed: int) -> Frame:
    """By name, not by object: samples travel to worker processes, a degradation's function may not."""
    return get(name)(decode(path), level, seed)
