"""Where an export is made: beside its output, unseen, until it takes its name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from crossiqa_edge.errors import CrossIQAError, OutputError
from crossiqa_edge.runtime.artefact import Artefact

_PREFIX = ".crossiqa-export-"


@contextmanager
def workplace(folder: Path, output: Path) -> Iterator[Path]:
    """A new folder within ``folder``, for the user alone, that is gone afterwards.

    Errors name ``output``, what the user named, instead of a file that was in there.

    Raises:
        OutputError: ``folder`` is missing or not writable, or the disk is full.
    """
    folder = folder.absolute()  # as errors from within have it, whatever Python's TemporaryDirectory gives
    try:
        with TemporaryDirectory(prefix=_PREFIX, dir=folder) as place:
            yield Path(place)
    except OSError as error:
        raise OutputError(
            f"{output}: cannot write here ({error.strerror or error}); choose another path"
        ) from error
    except CrossIQAError as error:
        within = re.match(re.escape(str(folder / _PREFIX)) + r"[^:]*: ", str(error))
        if within is None:
            raise
        raise type(error)(f"{output}: {str(error)[within.end() :]}") from error


def moved(graph: Artefact, path: Path) -> Artefact:
    """``graph`` under the name ``path``, following a link there."""
    graph.path.replace(os.path.realpath(path))
    return replace(graph, path=path)
