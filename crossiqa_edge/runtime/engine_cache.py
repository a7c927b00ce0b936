"""The engines of this machine: one folder, one a key, and a reason in words for each that is of no use.

Building takes from seconds to many minutes, so whoever needs an engine looks here first. Builds wait for
one another, even of different engines: TensorRT times its kernels while it builds, and two builds on one
GPU would time each other.

An engine that is to be judged lies under another name until it was, so that nobody runs it before, be it
that its export is still comparing or was killed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.errors import ArtefactError, OutputError
from crossiqa_edge.machine import home
from crossiqa_edge.runtime import devices
from crossiqa_edge.runtime.engine_file import (
    MAX_BYTES,
    EngineHeader,
    EngineKey,
    may_have_another_key,
    read_engine,
    read_header,
    unpack,
)
from crossiqa_edge.runtime.engine_fit import is_past
from crossiqa_edge.runtime.engine_fit import obstacle as obstacle
from crossiqa_edge.runtime.private_files import POSIX, key_path, known_key, private_folder, read_private

SUFFIX = ".engine"
AWAITING = ".awaiting"  # instead of it until there is a verdict
MAX_TIMINGS_BYTES = 64 << 20
_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the cache.

    Attributes:
        path: where it lies.
        size: in bytes.
        header: what it says of itself; None if it cannot be trusted, or could not be read.
        obstacle: why it is of no use here, in words; None if it is.
        stale: this machine will never load it again. Not what only lacks a GPU, a library or access rights
            at the moment, nor what may be sound under another key.
    """

    path: Path
    size: int
    header: EngineHeader | None
    obstacle: str | None
    stale: bool = False


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/crossiqa/engines``, where engines lie; not made here."""
    return Path(os.environ.get("XDG_CACHE_HOME") or home() / ".cache") / "crossiqa" / "engines"


def entries(folder: Path | None = None) -> list[Entry]:
    """Every engine in ``folder`` (by default the cache), the newest first, each authenticated.

    Raises:
        ArtefactError: the folder cannot be looked into.
    """
    known = _known_key()
    return [_entry(path, size, *known) for path, size in _files(folder, SUFFIX, AWAITING)]


def plans(onnx_sha256: str, folder: Path | None = None) -> list[str]:
    """SHA-256 of every plan that was built of the ONNX file with ``onnx_sha256``, the newest first.

    Of headers alone, so that it costs little: whether one of them can be used is not asked. Empty where the
    folder cannot be looked into, for then none can be run either.
    """
    try:
        files = _files(folder, SUFFIX)
    except ArtefactError:
        return []
    found = []
    for path, _ in files:
        with suppress(ArtefactError):  # no key, or not of ours: nobody runs it
            header = read_header(path)
            if header.key.onnx_sha256 == onnx_sha256:
                found.append(header.plan_sha256)
    return found


def find(onnx_sha256: str, runtime: str, folder: Path | None = None) -> tuple[Entry | None, str]:
    """The newest engine that ``runtime`` can run here, made from the ONNX file with ``onnx_sha256``.

    Returns:
        The entry and an empty string, or None and the reason in words.
    """
    try:
        found = entries(folder)
    except ArtefactError as error:
        return None, str(error)
    reason = "no engine of this model has been built on this machine"
    if any(entry.header is None and not entry.stale for entry in found):
        reason += ", or it is one that cannot be looked into (`crossiqa engines list`)"
    for entry in found:
        header = entry.header
        if header is None or (header.key.onnx_sha256, header.key.runtime) != (onnx_sha256, runtime):
            continue
        if entry.obstacle is None:
            return entry, ""
        reason = entry.obstacle
    return None, reason


def obtain(
    key: EngineKey,
    build: Callable[[], bytes],
    *,
    awaiting: bool = False,
    waiting: Callable[[], None] = lambda: None,
    folder: Path | None = None,
) -> Path:
    """The path of the engine with ``key``: from the cache, or built now.

    Of several processes that need one engine, one builds it and the others wait and take it.

    Args:
        key: what the engine must be.
        build: gives the whole engine file, as ``engine_file.pack`` makes it.
        awaiting: what is built now will be judged. Nobody finds it until ``keep``, but for another call with
            ``awaiting``, which takes up what an export left that was killed.
        waiting: called once if another process is building.
        folder: instead of the cache.

    Raises:
        OutputError: the folder is not writable, or others may enter it.
        Exception: whatever ``build`` raises; nothing is left behind.
    """
    folder = private_folder(cache_folder() if folder is None else folder)
    names = [_path(key, folder), *([_path(key, folder, AWAITING)] if awaiting else [])]
    with _only_builder(folder, waiting):
        for path in names:
            if _is_sound(path, key):
                return path
        _write_private(names[-1], build())
    return names[-1]


def keep(key: EngineKey, data: bytes, folder: Path | None = None) -> Path:
    """Put ``data``, the engine file of ``key``, into the cache in place of what may be there; its path.

    Whatever awaited a verdict under that key has it now.

    Raises:
        OutputError: the folder is not writable, or others may enter it.
    """
    path = _path(key, private_folder(cache_folder() if folder is None else folder))
    _write_private(path, data)
    forget_awaiting(key, folder)
    return path


def forget_awaiting(key: EngineKey, folder: Path | None = None) -> None:
    """Remove what awaits a verdict under ``key``. Who is about to judge it has a copy.

    Raises:
        OutputError: the folder is not writable.
    """
    _unlink(_path(key, cache_folder() if folder is None else folder, AWAITING))


def forget(key: EngineKey, plan_sha256: str, folder: Path | None = None) -> None:
    """Remove the engine of ``key`` if it still holds the plan with ``plan_sha256``, or is of no use at all.

    Another plan under the same key was built since, by somebody who will judge it. What awaits a verdict
    under that key is gone as well.

    Raises:
        OutputError: the folder is not writable.
    """
    path = _path(key, cache_folder() if folder is None else folder)
    if path.exists():
        entry = _entry(path, path.stat().st_size, *_known_key())
        if entry.header is None or entry.header.plan_sha256 == plan_sha256:
            remove(entry)
    forget_awaiting(key, folder)


def remove(entry: Entry) -> None:
    """Delete an engine; one that is gone already is no error.

    Raises:
        OutputError: the folder is not writable.
    """
    _unlink(entry.path)


def _unlink(path: Path) -> None:
    try:
        with suppress(FileNotFoundError):
            path.unlink()
    except OSError as error:
        raise OutputError(f"{path}: not removed ({error.strerror})") from error


def _files(folder: Path | None, *suffixes: str) -> list[tuple[Path, int]]:
    """Path and size of what ends in one of ``suffixes``, the newest first; nothing where there is no folder.

    Raises:
        ArtefactError: the folder cannot be looked into.
    """
    folder = cache_folder() if folder is None else folder
    paths = []
    try:  # not by glob, which passes over what may not be read, or raises, as the version of Python has it
        for path in (path for path in folder.iterdir() if path.suffix in suffixes):
            with suppress(FileNotFoundError):  # judged or removed meanwhile
                paths.append((path.lstat(), path))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        remedy = "mend its rights, or set XDG_CACHE_HOME elsewhere"
        raise ArtefactError(f"{folder}: cannot be looked into ({error.strerror}); {remedy}") from error
    return [(path, found.st_size) for found, path in sorted(paths, key=lambda pair: -pair[0].st_mtime)]


def _known_key() -> tuple[bytes | None, str]:
    """The key that engines here are authenticated with, or None and the reason. Looking makes none."""
    try:
        key = known_key()
    except ArtefactError as error:
        return None, str(error)
    return key, "" if key else f"there is no key, {key_path()}: it cannot be told from a forged one"


def _entry(path: Path, size: int, key: bytes | None, no_key: str) -> Entry:
    """What can be known of the file; what could not be looked into may be sound, and is not stale."""

    def unknown(why: object, *, stale: bool = False) -> Entry:
        return Entry(path, size, None, str(why).removeprefix(f"{path}: "), stale)

    try:
        data = read_private(path, MAX_BYTES)
    except ArtefactError as error:
        return unknown(error)
    if key is None:
        return unknown(no_key)
    try:
        header, _ = unpack(data, str(path), key)
    except ArtefactError as error:
        return unknown(error, stale=not may_have_another_key(data, key))
    if path.suffix == AWAITING:
        why = "not compared with the original yet: export it again"
        return Entry(path, size, header, why, stale=True)
    return Entry(path, size, header, obstacle(header.key), is_past(header.key))


def _path(key: EngineKey, folder: Path, suffix: str = SUFFIX) -> Path:
    return folder / f"{key.digest}{suffix}"


def _is_sound(path: Path, key: EngineKey) -> bool:
    try:
        return read_engine(path)[0].key == key
    except ArtefactError:
        return False  # missing, or damaged: built again over it


@contextmanager
def _only_builder(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the folder's lock; the system lets go of it if the process dies."""
    if not POSIX:
        raise OutputError("engines are kept on POSIX systems only; use the ONNX file")
    import fcntl

    with (folder / _LOCK).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def timings(runtime: str, folder: Path | None = None) -> bytes | None:
    """Kernel timings that earlier builds on this GPU left, None if there are none."""
    try:
        return read_private(_timings_path(runtime, folder), MAX_TIMINGS_BYTES)
    except ArtefactError:
        return None  # a build without them is only slower


def keep_timings(runtime: str, data: bytes, folder: Path | None = None) -> None:
    """Leave kernel timings for the next build.

    Raises:
        OutputError: the folder is not writable, or others may enter it.
    """
    path = _timings_path(runtime, folder)
    private_folder(path.parent)
    _write_private(path, data)


def _timings_path(runtime: str, folder: Path | None) -> Path:
    here = devices.device()
    gpu = f"sm_{here.capability}" if here else "none"
    name = f"{runtime}-{devices.runtime_version(runtime)}-{gpu}.timings"
    return (cache_folder() if folder is None else folder) / name


def _write_private(path: Path, data: bytes) -> None:
    with atomic_write(path) as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.write(data)
