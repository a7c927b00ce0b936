"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from crossiqa_edge.errors import OutputError


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a binary file that takes the name ``path`` only once the block has ended without error.

    The bytes go to a temporary name in the same folder, are flushed to the disk, and are then renamed
    over ``path``. On any exception, Ctrl-C included, the temporary file is removed and an older file
    at ``path`` stays as it was. A link is followed, so that it still points to the file afterwards; a
    device or pipe, which a rename would replace (``/dev/null``!), is written to directly.

    Raises:
        OutputError: the folder is missing or not writable, or the disk is full.
    """
    target = Path(os.path.realpath(path))
    part = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")
    direct = target.exists() and not target.is_file()
    try:
        stream = target.open("wb") if direct else part.open("xb")
    except OSError as error:
        raise OutputError(f"{target}: cannot write here ({error.strerror}); choose another path") from error
    try:
        with stream:
            yield stream
            stream.flush()
            if not direct:
                os.fsync(stream.fileno())
        if not direct:
            part.replace(target)
    except OSError as error:
        raise OutputError(
            f"{target}: not written ({error.strerror or error}); make room or choose another path"
        ) from error
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, whole or not at all."""
    with atomic_write(path) as stream:
        stream.write(text.encode())
