"""'Population MOS': pristine photographs, degraded on the fly, with the mean opinion of the degradation.

KADID-10k has 30 ratings each of 81 pictures x 25 distortion types x 5 levels. The mean over the 81
pictures tells most of what the single score tells (Spearman correlation 0.94 between the two), so a
photograph degraded the same way can carry it: human-derived, though blind to content. It is an opinion
of a population of pictures, never of this picture; hence the name.

Source of ``population_mos.csv``: H. Lin, V. Hosu, D. Saupe, "KADID-10k: A Large-scale Artificially
Distorted IQA Database", QoMEX 2019. Its scale runs from 1 (bad) to 5 (excellent).
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
PICTURES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, slots=True)
class Opinion:
    """What people thought of one (type, level), over ``n`` pictures, from 1 (bad) to 5 (excellent)."""

    mean: float
    std: float
    n: int


@cache
def opinions() -> dict[tuple[int, int], Opinion]:
    """The shipped table: (type number, published level) -> opinion; 125 entries."""
    path = Path(__file__).parents[1] / "population_mos.csv"
    columns = ("number", "published_level", "mean", "std", "n")
    return {
        (whole(row["number"], where), whole(row["published_level"], where)): Opinion(
            number(row["mean"], where), number(row["std"], where), whole(row["n"], where)
        )
        for where, row in read_csv(path, columns)
    }


def population_mos(degradation: str, level: int) -> float:
    """Mean opinion on 0..1, higher is better, of one of KADID-10k's degradations at our level 1..5.

    Raises:
        ConfigError: no such degradation, not one of KADID-10k's, or no such level.
    """
    kind = get(degradation)
    if kind.family != "kadid10k":
        raise ConfigError(f"{degradation!r} is not a type of KADID-10k: nobody was asked about it there")
    if not 1 <= level <= LEVELS:
        raise ConfigError(f"level {level} is not within 1..{LEVELS}")
    mean = opinions()[kind.number, kind.published_levels[level - 1]].mean
    return unit_score(mean, NATIVE_RANGE, degradation)


def population(
    root: str | os.PathLike[str],
    *,
    types: Sequence[str] | None = None,
    levels: Sequence[int] = tuple(range(1, LEVELS + 1)),
    seed: int = 0,
) -> QualitySet:
    """Every picture under ``root`` with every (type, level), degraded when loaded.

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
    folder = Path(root)
    kinds = every("kadid10k") if types is None else tuple(map(get, types))
    labels = [(kind, level, population_mos(kind.name, level)) for kind in kinds for level in levels]

    def samples() -> Iterator[Sample]:
        for path in photographs(folder):
            place = path.relative_to(folder)
            file, reference = place.as_posix(), place.with_suffix("").as_posix()
            own_seed = zlib.crc32(f"{seed}/{reference}".encode())
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

    return quality_set(NAME, samples(), NATIVE_RANGE, folder)


def photographs(root: str | os.PathLike[str]) -> list[Path]:
    """Paths of all pictures under ``root``, in an order that is the same on every system.

    Raises:
        DatasetError: no such folder, or not a picture in it.
    """
    folder = Path(root)
    find(folder, ["."], "give a folder of pristine photographs")
    found = [path for path in folder.rglob("*") if path.suffix.lower() in PICTURES]
    if not found:
        raise DatasetError(f"{folder}: not a picture here; give a folder of pristine photographs")
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())  # the same on every system


def _degraded(path: Path, name: str, level: int, seed: int) -> Frame:
    """By name, not by object: samples travel to worker processes, a degradation's function may not."""
    return get(name)(decode(path), level, seed)
