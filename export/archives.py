"""Folders as archives that are the same bytes whenever and by whomever they are made."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
from pathlib import Path
from typing import IO

from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.errors import OutputError

SUFFIXES = (".tar.gz", ".zip")

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip archive can tell


def write_archive(folder: Path, out: Path) -> None:
    """Write all files of ``folder``, under its name, into the ``.tar.gz`` or ``.zip`` archive ``out``.

    Raises:
        OutputError: ``out`` exists or cannot be written.
    """
    if out.exists():
        raise OutputError(f"{out}: exists already; choose another name or remove it")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with atomic_write(out) as stream:
        if out.name.endswith(".zip"):
            _zip(folder, files, stream)
        else:
            _tar(folder, files, stream)


def _zip(folder: Path, files: list[Path], stream: IO[bytes]) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            entry = zipfile.ZipInfo(path.relative_to(folder.parent).as_posix(), _ZIP_EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)


def _tar(folder: Path, files: list[Path], stream: IO[bytes]) -> None:
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for path in files:
            entry = tarfile.TarInfo(path.relative_to(folder.parent).as_posix())
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as content:
                archive.addfile(entry, content)
