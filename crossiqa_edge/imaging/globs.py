"""Globs that the shell has left alone, and the folders that could not be looked into on the way.

The standard library passes over the latter without a word, which would let a check pass that has seen half
of its pictures; and what ``**`` matches at the end of a pattern depends on Python's version.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

_MAGIC = re.compile(r"[*?[]")
_ANY_DEPTH = "**"

Step = tuple[Path, tuple[str, ...]]  # a folder, and what of the pattern is to be matched in it


def is_glob(text: str) -> bool:
    """Whether ``text`` has a wildcard."""
    return _MAGIC.search(text) is not None


def matches(pattern: str) -> tuple[list[Path], list[OSError]]:
    """The files and folders that ``pattern`` names, in no order, none of them within another.

    ``*``, ``?`` and ``[...]`` match within a name, of hidden files only after a dot of the pattern's own;
    ``**`` is any number of folders, but no hidden ones and no links, which may run in circles.

    Returns:
        What matches, and an error for each folder that had to be looked into and could not.

    Raises:
        ValueError: no path can be so, as one with a null byte.
    """
    wanted = Path(pattern)
    parts = wanted.parts[bool(wanted.anchor) :]
    while parts and parts[-1] == _ANY_DEPTH:  # all within a folder is the folder
        parts = parts[:-1]
    found, closed = set(), {}
    steps: list[Step] = [(Path(wanted.anchor), parts)]
    while steps:
        path, parts = steps.pop()
        if not parts:
            found.add(path)
            continue
        try:
            steps += _deeper(path, parts[0], parts[1:])
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            closed[path] = error
    return [path for path in found if found.isdisjoint(path.parents)], [*closed.values()]


def _deeper(folder: Path, part: str, rest: tuple[str, ...]) -> Iterator[Step]:
    """What in ``folder`` goes on to match ``rest`` once ``part`` is matched."""
    if part == _ANY_DEPTH:
        yield folder, rest
        yield from ((folder / name, (part, *rest)) for name in _folders(folder))
    elif is_glob(part):
        yield from ((path, rest) for path in folder.iterdir() if _fits(path.name, part))
    else:
        (folder / part).lstat()
        yield folder / part, rest


def _folders(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        yield from (e.name for e in entries if e.name[0] != "." and e.is_dir(follow_symlinks=False))


def _fits(name: str, part: str) -> bool:
    return fnmatchcase(name, part) and (name[0] != "." or part[0] == ".")
