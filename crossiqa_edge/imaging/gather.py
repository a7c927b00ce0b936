"""From what a user names (files, folders, globs, lists, standard input) to pictures and clips to score."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.decode import MAX_FILE_BYTES, name_of
from crossiqa_edge.imaging.globs import is_glob, matches
from crossiqa_edge.imaging.piped import Readable, is_clip, looked_at, unbuffered

# What is taken from a folder; a file that is named itself is taken whatever its name.
_PICTURE = re.compile(
    r"[^.].*\.(avif|bmp|dib|gif|hei[cf]|hif|j2k|jfif|jp2|jpe|jpe?g|mpo|p[bgnp]m|png|tiff?|webp)",
    re.IGNORECASE | re.DOTALL,
)
# What makes a file a clip, named itself or, but for the last two, found in a folder.
_CLIP = re.compile(
    r"[^.].*\.(3g[2p]|avi|flv|h26[45]|hevc|ivf|m2ts|m4v|mkv|mov|mp4|mpe?g|mxf|nut|ogv|vob|webm|wmv|y4m|ts|mts)",
    re.IGNORECASE | re.DOTALL,
)
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*://|(?:camera|testpattern|gst):).*", re.IGNORECASE | re.DOTALL)
_CHUNK = 1 << 20  # bytes; room for all that is asked for is taken before it has come


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture or clip to score, or the reason why an argument gave none.

    Attributes:
        label: how results name it: its path, or ``-`` for standard input; always one printable line.
        source: the path or the bytes that ``decode`` reads, the path or address of a clip, what a clip on
            standard input is read from, or the error that takes their place.
        clip: whether it is a clip; an address may hold credentials, and so may its label.
    """

    label: str
    source: str | bytes | Readable | InputError
    clip: bool = False


def gather(arguments: Sequence[str], stdin: IO[bytes] | None = None) -> Iterator[Entry]:
    """The pictures and clips that ``arguments`` name, in the order of the arguments.

    * a file is itself, a clip by its suffix, a picture with any other or none; a file that cannot be read
      is found out by whoever decodes it;
    * ``scheme://…``, ``camera:…``, ``testpattern:…`` and ``gst:…`` are clips;
    * a folder is all pictures and clips in it, known by their suffix, those of its subfolders after its
      own, in natural order (``2.png`` before ``10.png``); hidden files, hidden folders and links to
      folders are left out, and so are ``.ts`` and ``.mts``, more often programs than clips;
    * a glob that the shell has left alone is its matches in natural order, ``**`` crossing folders but
      no links; what a folder holds that matches counts once, and is what a folder is;
    * ``@list.txt`` is the arguments in that file, one a line, as if given here; empty lines and lines
      that begin with ``#`` are skipped; ``@-`` reads the list from standard input;
    * ``-`` is one picture or clip on standard input, told by its first bytes.

    A file whose name begins with ``@`` or ``-`` is given as ``./@name``. An argument that is given twice
    counts once; one file that is reached by two different arguments counts twice. Trouble with one
    argument is an entry of its own, so that the others are still scored.

    Args:
        stdin: binary stream to use as standard input; the process's own by default.
    """
    if stdin is None and sys.stdin is not None:  # None where it was closed
        stdin = sys.stdin.buffer
    for argument in dict.fromkeys(arguments):
        if argument.startswith("@"):
            yield from _listed(argument, stdin)
        else:
            yield from _named(argument, stdin)


def is_address(argument: str) -> bool:
    """Whether ``argument`` names a stream, a camera or something else that is no file."""
    return _ADDRESS.fullmatch(argument) is not None


def _named(argument: str, stdin: IO[bytes] | None) -> Iterator[Entry]:
    if argument == "-":
        yield _piped(stdin)
    elif is_address(argument):
        yield Entry(name_of(argument), argument, clip=True)
    elif os.path.isdir(argument):  # noqa: PTH112 - for Path, "" is the current folder
        yield from _folder(argument)
    elif is_glob(argument) and not os.path.lexists(argument):
        yield from _matches(argument)
    else:
        yield _file(argument)


def _file(path: str) -> Entry:
    return Entry(name_of(path), path, clip=bool(_CLIP.fullmatch(os.path.basename(path))))  # noqa: PTH119


def _trouble(argument: str, reason: str) -> Entry:
    label = name_of(argument)
    return Entry(label, InputError(f"{label}: {reason}"))


def _piped(stdin: IO[bytes] | None) -> Entry:
    if stdin is None:
        return _trouble("-", "standard input is closed; pipe a picture or a clip into it")
    if stdin.isatty():
        return _trouble("-", "standard input is a terminal; pipe a picture or a clip into it")
    try:
        head, stream = looked_at(unbuffered(stdin))
        return Entry("-", stream, clip=True) if is_clip(head) else Entry("-", _picture(stream))
    except OSError as error:  # opened for writing only, say
        return _trouble("-", f"standard input cannot be read ({error.strerror or error})")


def _picture(stream: Readable) -> bytes:
    """All of ``stream``, but no more than ``decode`` needs to refuse it."""
    parts, size = [], 0
    while size <= MAX_FILE_BYTES and (part := stream.read(min(_CHUNK, MAX_FILE_BYTES + 1 - size))):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _folder(folder: str) -> Iterator[Entry]:
    unreadable: list[OSError] = []
    empty = True
    for path, folders, files in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted((name for name in folders if name[0] != "."), key=_natural)
        for name in sorted(filter(_wanted, files), key=_natural):
            empty = False
            yield _file(os.path.join(path, name))  # noqa: PTH118 - keeps "./" as it was given
    yield from map(_closed, unreadable)
    if empty and not unreadable:
        yield _trouble(folder, "a folder without pictures or clips; name files of other suffixes themselves")


def _wanted(name: str) -> bool:
    typescript = name.lower().endswith((".ts", ".mts"))
    return bool(_PICTURE.fullmatch(name) or (_CLIP.fullmatch(name) and not typescript))


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key that reads digits as numbers and letters without case."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _matches(pattern: str) -> Iterator[Entry]:
    try:
        found, unreadable = matches(pattern)
    except ValueError as error:
        yield _trouble(pattern, f"cannot be matched ({error}); check the pattern")
        return
    for path in sorted(map(str, found), key=_natural):
        yield from _folder(path) if Path(path).is_dir() else [_file(path)]
    yield from map(_closed, unreadable)
    if not found and not unreadable:
        yield _trouble(pattern, "matches no file; check the pattern")


def _closed(error: OSError) -> Entry:
    reason = f"cannot be read ({error.strerror}); check the folder's permissions"
    return _trouble(os.fspath(error.filename), reason)


def _listed(argument: str, stdin: IO[bytes] | None) -> Iterator[Entry]:
    if argument == "@-" and stdin is None:
        yield _trouble(argument, "standard input is closed; pipe a list of paths into it, one a line")
        return
    try:
        data = stdin.read() if stdin is not None and argument == "@-" else Path(argument[1:]).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        yield _trouble(argument, f"the list cannot be read ({reason}); check its path")
        return
    if b"\0" in data:
        reason = "null bytes, so no list of one path a line; use find's -print, and name a picture without @"
        yield _trouble(argument, reason)
        return
    lines = [os.fsdecode(line.strip()) for line in data.removeprefix(b"\xef\xbb\xbf").splitlines()]
    paths = [line for line in lines if line and not line.startswith("#")]
    if not paths:
        yield _trouble(argument, "an empty list; write one path a line")
    for path in dict.fromkeys(paths):
        if path.startswith("@"):
            yield _trouble(path, f"a list inside the list {name_of(argument[1:])}; give it by itself")
        else:
            yield from _named(path, stdin)
