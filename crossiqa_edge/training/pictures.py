"""A cache of decoded or rebuilt pictures in one memory-mapped file, shared by all worker processes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from rich.progress import track

from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.data.datasets.base import Sample
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import Frame

_READ_AHEAD = 16


@dataclass(frozen=True)
class PictureCache:
    """Pictures of any size, read by index without decoding.

    Attributes:
        path: file of raw uint8 pixels, one picture after the other.
        shapes: (H, W, 3) of each.
        offsets: first byte of each.
    """

    path: Path
    shapes: tuple[tuple[int, int, int], ...]
    offsets: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> Frame:
        shape = self.shapes[index]
        return np.memmap(self.path, np.uint8, "r", self.offsets[index], shape)

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(len(self)))

    @classmethod
    def build(
        cls,
        directory: str | os.PathLike[str],
        name: str,
        keys: Sequence[str],
        loaders: Sequence[Callable[[], Frame]],
    ) -> PictureCache:
        """Open the cache of these pictures in ``directory``, filling it first where it is missing.

        Args:
            name: tells caches apart for a person; the keys' hash does so for the program.
            keys: identity of each picture, in order; another list is another cache.
            loaders: make the pictures; may raise InputError.
        """
        digest = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]
        path = Path(directory) / f"{name}-{digest}.u8"
        index = path.with_suffix(".json")
        if not (path.exists() and index.exists()):
            path.parent.mkdir(parents=True, exist_ok=True)
            made = _fill(path, loaders, name)
            with atomic_write(index) as stream:
                stream.write(json.dumps(made).encode())
        shapes = tuple((height, width, depth) for height, width, depth in json.loads(index.read_text()))
        sizes = [int(np.prod(shape)) for shape in shapes]
        offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        return cls(path, shapes, tuple(int(offset) for offset in offsets))

    @classmethod
    def of_files(cls, directory: str | os.PathLike[str], paths: Sequence[Path]) -> PictureCache:
        """The cache of these picture files; a file that has changed since makes another cache."""
        keys = [f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in paths]
        return cls.build(directory, "photographs", keys, [partial(decode, path) for path in paths])

    @classmethod
    def of_samples(
        cls, directory: str | os.PathLike[str], name: str, samples: Sequence[Sample]
    ) -> PictureCache:
        """The cache of a data set's pictures, whether they are read or rebuilt."""
        file_name = "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-")
        return cls.build(
            directory, file_name, [sample.key for sample in samples], [sample.load for sample in samples]
        )


def _fill(path: Path, loaders: Sequence[Callable[[], Frame]], name: str) -> list[tuple[int, ...]]:
    shapes = []
    with atomic_write(path) as stream, ThreadPoolExecutor(2) as pool:
        pending = iter(loaders)
        ahead = [pool.submit(loader) for loader in islice(pending, _READ_AHEAD)]
        for _ in track(range(len(loaders)), f"preparing {name}", transient=True):
            frame = ahead.pop(0).result()
            ahead += [pool.submit(loader) for loader in islice(pending, 1)]
            stream.write(frame.tobytes())
            shapes.append(frame.shape)
    return shapes
