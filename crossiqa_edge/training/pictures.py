"""A cache of decoded or rebuilt pictures in one memory-mapped file, shared by all worker processes."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, islice
from pathlib import Path

import numpy as np
from rich.progress import track

from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.data.datasets.base import Sample
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import Frame

Shapes = tuple[tuple[int, int, int], ...]

# Of the code that degrades and rebuilds pictures: raise it where the same sample becomes another picture. A
# test compares what is made with what was, and so notices where that was forgotten.
VERSION = 1
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
    shapes: Shapes
    offsets: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.shapes)

    @property
    def digest(self) -> str:
        """Of the keys: where a file has changed, or the code that makes pictures, it is another."""
        return self.path.stem.rpartition("-")[2]

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
        """Open the cache of these pictures in ``directory``, filling it first where it is not there whole.

        Args:
            name: tells caches apart for a person; the keys' hash does so for the program.
            keys: identity of each picture, in order; another list is another cache.
            loaders: make the pictures; may raise InputError.
        """
        digest = hashlib.sha256("\n".join(keys).encode(errors="surrogateescape")).hexdigest()[:16]
        path = Path(directory) / f"{name}-{digest}.u8"
        index = path.with_suffix(".json")
        shapes = _shapes(path, index, len(keys))
        if shapes is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            shapes = _fill(path, loaders, name)
            with atomic_write(index) as stream:
                stream.write(json.dumps(shapes).encode())
        ends = accumulate((math.prod(shape) for shape in shapes), initial=0)
        return cls(path, shapes, tuple(islice(ends, len(shapes))))

    @classmethod
    def of_files(cls, directory: str | os.PathLike[str], paths: Sequence[Path]) -> PictureCache:
        """The cache of these picture files; a file that has changed since makes another cache."""
        keys = [_file_key(path) for path in paths]
        return cls.build(directory, "photographs", keys, [partial(decode, path) for path in paths])

    @classmethod
    def of_samples(
        cls, directory: str | os.PathLike[str], name: str, samples: Sequence[Sample]
    ) -> PictureCache:
        """The cache of a data set's pictures, whether they are read or rebuilt.

        Where the file of one that is read, or that is the source of one that is rebuilt, has changed since or
        lies in another folder, this is another cache.
        """
        file_name = "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-")
        return cls.build(
            directory,
            file_name,
            [_sample_key(sample) for sample in samples],
            [sample.load for sample in samples],
        )


def source_file(sample: Sample) -> Path | None:
    """The file that a sample is read or made from; None where it has none."""
    # Samples do not tell their file, but every set binds it to the function that loads them.
    bound = sample.load.args if isinstance(sample.load, partial) else ()
    return next((argument for argument in bound if isinstance(argument, Path)), None)


def _sample_key(sample: Sample) -> str:
    """Identity of a picture: names of files alone are equal in many folders, and stay when files change."""
    file = source_file(sample)
    parts = [sample.key]
    if not (isinstance(sample.load, partial) and sample.load.func is decode):
        parts.append(f"made {VERSION}")
    if file is not None:
        parts.append(_file_key(file))
    return " ".join(parts)


def _file_key(path: Path) -> str:
    """Identity of a file's content, without reading it."""
    place = str(path.absolute())
    try:
        status = path.stat()
    except OSError:
        return place  # nothing is cached under it: its loader tells why it cannot be read
    return f"{place} {status.st_size} {status.st_mtime_ns}"


def _shapes(path: Path, index: Path, count: int) -> Shapes | None:
    """Shapes of the ``count`` pictures in a cache; None where it is missing or not whole."""
    try:
        shapes = tuple((height, width, depth) for height, width, depth in json.loads(index.read_bytes()))
        whole = len(shapes) == count and sum(map(math.prod, shapes)) == path.stat().st_size
    except (OSError, TypeError, ValueError):
        return None
    return shapes if whole else None


def _fill(path: Path, loaders: Sequence[Callable[[], Frame]], name: str) -> Shapes:
    shapes = []
    with atomic_write(path) as stream, ThreadPoolExecutor(2) as pool:
        pending = iter(loaders)
        ahead = [pool.submit(loader) for loader in islice(pending, _READ_AHEAD)]
        for _ in track(range(len(loaders)), f"preparing {name}", transient=True):
            frame = ahead.pop(0).result()
            ahead += [pool.submit(loader) for loader in islice(pending, 1)]
            stream.write(frame.tobytes())
            shapes.append((frame.shape[0], frame.shape[1], frame.shape[2]))
    return tuple(shapes)
