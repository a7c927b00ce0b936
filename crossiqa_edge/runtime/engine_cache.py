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
from crossiqa_edge.runtime import devices
from crossiqa_edge.runtime.engine_file import EngineHeader, EngineKey, read_engine
from crossiqa_edge.runtime.private_files import POSIX, private_folder, read_private
from crossiqa_edge.version import __version__

SUFFIX = ".engine"
AWAITING = ".awaiting"  # instead of it until there is a verdict
MAX_TIMINGS_BYTES = 64 << 20
NO_GPU = "no GPU"
_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the cache.

    Attributes:
        path: where it lies.
        size: in bytes.
        header: what it says of itself; None if it cannot be trusted.
        obstacle: why it is of no use here, in words; None if it is.
    """

    path: Path
    size: int
    header: EngineHeader | None
    obstacle: str | None

    @property
    def stale(self) -> bool:
        """Of no use, and not only for want of a GPU: this machine will never load it again."""
        if self.header is None or self.path.suffix == AWAITING:
            return True
        return any(found != NO_GPU for _, found in differences(self.header.key))


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/crossiqa/engines``, where engines lie; not made here."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crossiqa" / "engines"


def entries(folder: Path | None = None) -> list[Entry]:
    """Every engine in ``folder`` (by default the cache), the newest first, each authenticated."""
    folder = cache_folder() if folder is None else folder
    paths = []
    for path in (*folder.glob(f"*{SUFFIX}"), *folder.glob(f"*{AWAITING}")):
        with suppress(FileNotFoundError):  # judged or removed meanwhile
            paths.append((path.lstat(), path))
    return [_entry(path, found.st_size) for found, path in sorted(paths, key=lambda pair: -pair[0].st_mtime)]


def find(onnx_sha256: str, runtime: str, folder: Path | None = None) -> tuple[Entry | None, str]:
    """The newest engine that ``runtime`` can run here, made from the ONNX file with ``onnx_sha256``.

    Returns:
        The entry and an empty string, or None and the reason in words.
    """
    reason = "no engine of this model has been built on this machine"
    for entry in entries(folder):
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
        entry = _entry(path, path.stat().st_size)
        if entry.header is None or entry.header.plan_sha256 == plan_sha256:
            remove(entry)
    forget_awaiting(key, folder)


def differences(key: EngineKey) -> list[tuple[str, str]]:
    """Pairs of (what an engine with ``key`` was built for, what this machine has); empty if all agree."""
    version = devices.runtime_version(key.runtime) if key.runtime in devices.RUNTIMES else None
    here = devices.device()
    pairs = [
        (
            f"{key.runtime} {key.runtime_version}",
            f"{key.runtime} {version}" if version else f"no {key.runtime}",
        ),
        (key.platform, devices.platform_name()),
        (f"crossiqa-edge {key.toolkit}", f"crossiqa-edge {__version__}"),
    ]
    if here is None or here.capability not in key.capabilities:
        pairs.insert(0, (_architectures(key), f"sm_{here.capability}" if here else NO_GPU))
    elif key.device:
        pairs.insert(0, (key.device, here.name))
    return [(built, found) for built, found in pairs if built != found]


def obstacle(key: EngineKey) -> str | None:
    """Why an engine with ``key`` cannot be used here, in words; None if it can."""
    pairs = differences(key)
    if not pairs:
        return None
    built, found = (", ".join(texts) for texts in zip(*pairs, strict=True))
    outcome = "cannot run here" if NO_GPU in found else "will rebuild"
    return f"built for {built}; this machine has {found}: {outcome}"


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


def _entry(path: Path, size: int) -> Entry:
    try:
        header, _ = read_engine(path)
    except ArtefactError as error:
        return Entry(path, size, None, str(error).removeprefix(f"{path}: "))
    if path.suffix == AWAITING:
        return Entry(path, size, header, "not compared with the original yet: export it again")
    return Entry(path, size, header, obstacle(header.key))


def _path(key: EngineKey, folder: Path, suffix: str = SUFFIX) -> Path:
    return folder / f"{key.digest}{suffix}"


def _is_sound(path: Path, key: EngineKey) -> bool:
    try:
        return read_engine(path)[0].key == key
    except ArtefactError:
        return False  # missing, or damaged: built again over it


def _architectures(key: EngineKey) -> str:
    return " ".join(f"sm_{capability}" for capability in key.capabilities)


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
