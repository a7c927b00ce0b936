"""Folders that appear whole or not at all, as ``crossiqa_edge.atomic`` does for files."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crossiqa_edge.errors import OutputError


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the name ``path`` once the block has ended without error.

    Raises:
        OutputError: ``path`` exists, or its parent is not writable.
    """
    if path.exists():
        raise OutputError(f"{path}: exists already; choose another name or remove it")
    part = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        part.mkdir()
        yield part
        part.rename(path)
    except OSError as error:
        raise OutputError(f"{path}: not written ({error.strerror or error}); choose another path") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
