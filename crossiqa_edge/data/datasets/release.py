"""What the loaders share: finding the files of a release, and turning its opinions into samples.

A loader checks at once that every picture its table names is there: a set that was unpacked by half is
reported when it is opened, not hours into a training run. Pictures are decoded only when asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.data.datasets.tables import number
from crossiqa_edge.errors import DatasetError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import Frame


def find(root: Path, names: Sequence[str], hint: str) -> Path:
    """The first of ``names`` (paths relative to ``root``) that exists.

    Raises:
        DatasetError: none of them does; the message ends in ``hint``, which says what folder to give.
    """
    for name in names:
        if (root / name).exists():
            return root / name
    missing = f"no {' or '.join(names)}" if root.is_dir() else "no such folder"
    raise DatasetError(f"{root}: {missing}; {hint}")


def is_there(path: Path) -> bool:
    """Whether ``path`` is a file; not where no file can have its name, or none may look for it."""
    try:
        return path.is_file()
    except OSError:
        return False


class PictureFolder:
    """The pictures of one folder by name, whatever the case: releases mix ``I25.BMP`` and ``i25.bmp``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._files = {path.name.casefold(): path for path in folder.iterdir()}
        except OSError as error:
            raise DatasetError(f"{folder}: cannot be listed ({error.strerror}); check its rights") from error

    def __getitem__(self, name: str) -> Callable[[], Frame]:
        """What reads the picture called ``name``, uint8 (H, W, 3) RGB; it can travel to other processes.

        Raises:
            DatasetError: the folder has no such picture.
        """
        found = self._files.get(name.casefold())
        if found is None:
            raise DatasetError(f"{self._folder}: {name} is missing; unpack the release's archive again")
        return partial(decode, found)


def unit_score(value: object, native_range: tuple[float, float], where: str) -> float:
    """An opinion on the release's own scale, (worst, best), as a score on 0..1, higher is better.

    Raises:
        DatasetError: not a number, or outside the scale: then the scale is another than the loader thinks.
    """
    worst, best = native_range
    native = number(value, where)
    score = (native - worst) / (best - worst)
    if not 0.0 <= score <= 1.0:
        raise DatasetError(
            f"{where}: score {native:g} is outside the scale {worst:g}..{best:g} (worst..best)"
        )
    return score


def quality_set(
    name: str, samples: Iterable[Sample], native_range: tuple[float, float], where: Path
) -> QualitySet:
    """A set of at least one sample with unique keys; DatasetError naming ``where`` otherwise."""
    unique: dict[str, Sample] = {}
    for sample in samples:
        if sample.key in unique:
            raise DatasetError(f"{where}: {sample.key} is listed twice; mend the table")
        unique[sample.key] = sample
    if not unique:
        raise DatasetError(f"{where}: not a single picture is listed; check that the file is complete")
    return QualitySet(name, tuple(unique.values()), native_range)
