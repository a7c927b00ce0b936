"""Features of a frozen encoder, computed once for each picture and kept on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.card import ModelCard
from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import Views, sample

Rows = npt.NDArray[np.float32]  # (N, V, D)
Network = Callable[[Views], npt.NDArray[np.float32]]  # uint8 (V, S, S, 3) -> (V, D)
Track = Callable[[Sequence[Sequence[Path]]], Iterable[Sequence[Path]]]

_BATCH = 16
_BATCHES_A_SAVE = 16


@dataclass(frozen=True)
class Found:
    """Features of the pictures that could be read.

    Attributes:
        rows: float32 (N, V, D), V views a picture.
        kept: positions of those N among the files asked for, rising.
        unreadable: position of each of the others, with the reason.
    """

    rows: Rows
    kept: tuple[int, ...]
    unreadable: Mapping[int, str]


class FeatureCache:
    """A file of features of one encoder; another hash of the weights or another sampling is another file.

    A picture is known by its path, its size in bytes and its time of change. A damaged file counts as none.
    """

    def __init__(self, folder: str | os.PathLike[str], card: ModelCard) -> None:
        self._card = card
        name = f"features-{card.weights_sha256[:16]}-{card.sampling}-{card.view_size}.npz"
        self.path = Path(folder) / name
        self._rows: dict[str, Rows] = _read(self.path)

    def features(
        self, network: Network, files: Sequence[Path], *, workers: int = 2, track: Track = iter
    ) -> Found:
        """Features of ``files``; those that are not known yet are computed, and kept even on Ctrl-C.

        Args:
            network: the encoder.
            workers: threads that decode.
            track: wraps the batches of unknown files, to show progress.
        """
        keys = [_key(file) for file in files]
        unknown = [file for file, key in zip(files, keys, strict=True) if key not in self._rows]
        batches = [unknown[start : start + _BATCH] for start in range(0, len(unknown), _BATCH)]
        reasons: dict[str, str] = {}
        try:
            with ThreadPoolExecutor(workers, thread_name_prefix="crossiqa-features") as pool:
                for done, batch in enumerate(track(batches), 1):
                    reasons |= self._add(network, batch, list(pool.map(self._views, batch)))
                    if done % _BATCHES_A_SAVE == 0:
                        self._save()
        finally:
            if batches:
                self._save()
        kept = tuple(index for index, key in enumerate(keys) if key in self._rows)
        rows = np.stack([self._rows[keys[index]] for index in kept]) if kept else np.empty((0, 1, 0))
        unreadable = {index: reasons[key] for index, key in enumerate(keys) if key in reasons}
        return Found(rows.astype(np.float32), kept, unreadable)

    def _views(self, file: Path) -> Views | InputError:
        try:
            return sample(decode(file), self._card.sampling, size=self._card.view_size)
        except InputError as error:
            return error

    def _add(
        self, network: Network, files: Sequence[Path], views: Sequence[Views | InputError]
    ) -> dict[str, str]:
        """Keep the features of a batch; the reasons why some have none."""
        keys = [_key(file) for file in files]
        good = [item for item in views if not isinstance(item, InputError)]
        if good:
            rows = network(np.concatenate(good)).reshape(len(good), len(good[0]), -1)
            known = [key for key, item in zip(keys, views, strict=True) if not isinstance(item, InputError)]
            self._rows |= dict(zip(known, rows, strict=True))
        return {key: str(item) for key, item in zip(keys, views, strict=True) if isinstance(item, InputError)}

    def _save(self) -> None:
        if not self._rows:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path) as stream:
            np.savez(stream, keys=np.array(list(self._rows)), rows=np.stack(list(self._rows.values())))


def _key(file: Path) -> str:
    status = file.stat()
    name = f"{file.resolve()} {status.st_size} {status.st_mtime_ns}"
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()


def _read(path: Path) -> dict[str, Rows]:
    try:
        with np.load(path, allow_pickle=False) as held:
            return dict(zip(held["keys"].tolist(), held["rows"], strict=True))
    except Exception:  # zipfile and NumPy raise a dozen kinds on damaged bytes
        return {}
