"""Files that only their owner may have touched: folders of mode 0700, keys of mode 0600, no links.

Native code and keys are read through here. Every check is made on the open descriptor, never on the
name, so that nothing can be exchanged between the check and the reading. POSIX only: on Windows there
are no such modes to check, and what needs them says so.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from crossiqa_edge.errors import ArtefactError, OutputError
from crossiqa_edge.machine import home

POSIX = hasattr(os, "geteuid")

KEY_BYTES = 32


def read_private(path: Path, most: int) -> bytes:
    """The bytes of a regular file of at most ``most`` bytes, in a folder of this user with mode 0700.

    Raises:
        ArtefactError: the folder or the file may have been touched by somebody else, the file is a link,
            a device or too large, or it cannot be read.
    """
    with _reading(path) as stream:
        size = os.fstat(stream.fileno()).st_size  # asked first: nobody should read a gigabyte to refuse it
        data = stream.read(most + 1) if size <= most else b""
    if size > most or len(data) > most:
        raise ArtefactError(f"{path}: larger than {most >> 20} MiB; this is not one of our files")
    return data


def read_private_start(path: Path, count: int) -> bytes:
    """The first ``count`` bytes of such a file, or all that it has.

    Raises:
        ArtefactError: as ``read_private``, whatever the size.
    """
    with _reading(path) as stream:
        return stream.read(count)


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """The open file, once it and its folder are known to be nobody else's."""
    if not POSIX:
        raise ArtefactError(f"{path}: engines need the access rights of a POSIX system; use the ONNX file")
    path = Path.cwd() / path  # not resolved: a link in place of the file must be seen as one
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _refuse_shared_folder(os.fstat(folder), path.parent)
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            file = os.open(path.name, flags, dir_fd=folder)
        finally:
            os.close(folder)
        try:
            _refuse_foreign_file(os.fstat(file), path)
            with os.fdopen(file, "rb", closefd=False) as stream:
                yield stream
        finally:
            os.close(file)
    except FileNotFoundError as error:
        raise ArtefactError(f"{path}: no such file") from error
    except OSError as error:  # ELOOP: a link; the system's words for it would not help
        what = "a link" if path.is_symlink() else f"not readable ({error.strerror})"
        raise ArtefactError(f"{path}: {what}; native code is only loaded from a file of your own") from error


def private_folder(path: Path) -> Path:
    """``path`` as a folder that only this user can enter, made with its parents where it is missing.

    Raises:
        OutputError: it cannot be made, belongs to somebody else, or others can enter it.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_shared_folder(path.stat(), path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be made ({error.strerror}); choose another") from error
    except ArtefactError as error:
        raise OutputError(str(error)) from error
    return path


def machine_key(path: Path | None = None) -> bytes:
    """The 32 secret bytes that engines of this machine and user are authenticated with.

    Made at random on first use, in ``$XDG_CONFIG_HOME/crossiqa/engine.key`` unless ``path`` says
    otherwise; of several processes that come first at once, one makes it and the others read it.

    Raises:
        ArtefactError: the key is readable or writable by others, a link, or of another length.
        OutputError: it cannot be written.
    """
    path = key_path() if path is None else path
    key = known_key(path)
    if key is None:
        _make_key(path)
        key = _read_key(path)
    return key


def known_key(path: Path | None = None) -> bytes | None:
    """The same, or None where there is no key yet: reading makes none.

    Raises:
        ArtefactError: the key is readable or writable by others, a link, or of another length, or nobody can
            tell whether there is one.
    """
    path = key_path() if path is None else path
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read ({error.strerror}); mend its folder's rights") from error
    return _read_key(path)


def tag(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104) of ``message``, 32 bytes."""
    return hmac.digest(key, message, hashlib.sha256)


def key_path() -> Path:
    """Where the key of this user lies, or would."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or home() / ".config") / "crossiqa" / "engine.key"


def _read_key(path: Path) -> bytes:
    key = read_private(path, KEY_BYTES)
    if len(key) != KEY_BYTES:
        raise ArtefactError(f"{path}: {len(key)} bytes, not {KEY_BYTES}; remove it, engines are then rebuilt")
    return key


def _make_key(path: Path) -> None:
    """Written under another name and linked to its own, which fails if another process was faster."""
    folder = private_folder(path.parent)
    part = folder / f".{path.name}.{secrets.token_hex(4)}"
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(secrets.token_bytes(KEY_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        with suppress(FileExistsError):
            os.link(part, path)
    except OSError as error:
        raise OutputError(f"{path}: not written ({error.strerror}); set XDG_CONFIG_HOME elsewhere") from error
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def _refuse_shared_folder(found: os.stat_result, path: Path) -> None:
    if found.st_uid != os.geteuid():
        raise ArtefactError(f"{path}: the folder belongs to somebody else; native code is not loaded from it")
    if stat.S_IMODE(found.st_mode) != 0o700:
        raise ArtefactError(
            f"{path}: others may enter the folder (mode {stat.S_IMODE(found.st_mode):04o}), and an engine is "
            f"native code; run: chmod 700 {path}"
        )


def _refuse_foreign_file(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ArtefactError(f"{path}: not a regular file; native code is only loaded from one of your own")
    if found.st_uid != os.geteuid():
        raise ArtefactError(
            f"{path}: belongs to somebody else; native code is only loaded from your own files"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise ArtefactError(f"{path}: others have access to it; run: chmod 600 {path}")
