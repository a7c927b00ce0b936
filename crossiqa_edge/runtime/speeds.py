"""How fast each backend runs a model on this machine: measured once, remembered in a small file.

A measurement holds for one model file, one machine, one number of threads and the libraries installed
then; with any of them changed it is not found, and taken anew when somebody asks. The file is a cache in
the full sense: damaged, foreign or unwritable, it is as if there were none.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

import numpy as np

from crossiqa_edge.atomic import write_text
from crossiqa_edge.errors import OutputError
from crossiqa_edge.imaging.sampling import Views
from crossiqa_edge.machine import processor
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.backend import Backend

BUDGET = 0.4  # seconds for all backends together; three rounds are made whatever they take
FORMAT = 1

_ROUNDS = (3, 31)
_MOST_ENTRIES, _MOST_BYTES = 64, 1 << 18
_LIBRARIES = (
    *("onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt", "tensorrt-rtx"),
    *("torch", "triton", "crossiqa-edge"),
)
_DRIVER = Path("/proc/driver/nvidia/version")


class Speed(NamedTuple):
    """Milliseconds: to open the model, its library's import included, and for a view."""

    opening: float
    view: float

    def total(self, views: int) -> float:
        """Milliseconds from opening to the last of ``views``."""
        return self.opening + views * self.view


Speeds = dict[str, Speed | None]  # backend -> its speed; None where it failed


def cache_file() -> Path:
    """``$XDG_CACHE_HOME/crossiqa/speeds.json``; not made here."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crossiqa" / "speeds.json"


def recall(artefact: Artefact, threads: int | None) -> Speeds:
    """What was measured for ``artefact`` on this machine as it is now; empty where nothing was."""
    entries = _entries()
    return entries.get(_key(artefact, threads), {}) if entries else {}


def remember(artefact: Artefact, threads: int | None, speeds: Speeds) -> None:
    """Keep ``speeds`` for ``recall``; where the cache cannot be written, they are forgotten."""
    entries = _entries()
    key = _key(artefact, threads)
    entries.pop(key, None)
    entries[key] = speeds
    kept = dict(list(entries.items())[-_MOST_ENTRIES:])
    path = cache_file()
    with suppress(OSError, OutputError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps({"format": FORMAT, "entries": kept}, indent=1))


def sample(artefact: Artefact) -> Views:
    """What to measure with: one view, as a live frame comes, and for which OpenVINO compiles at once."""
    side = artefact.card.view_size
    return np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)


def measure(running: Mapping[str, Backend], views: Views) -> dict[str, float]:
    """Milliseconds a view of each warm backend: the median over rounds in which all take their turn."""
    seconds: dict[str, list[float]] = {name: [] for name in running}
    started = perf_counter()
    least, most = _ROUNDS
    for turn in range(most):
        if turn >= least and perf_counter() - started > BUDGET:
            break
        for name, backend in running.items():
            start = perf_counter()
            backend.infer(views)
            seconds[name].append(perf_counter() - start)
    return {name: round(1e3 * median(times) / len(views), 3) for name, times in seconds.items()}


def _key(artefact: Artefact, threads: int | None) -> str:
    """What a measurement holds for, as a hash."""
    cpu, cores, instructions = processor()
    facts: Sequence[object] = (
        *(artefact.sha256, cpu, cores, instructions, threads),
        *(_driver(), os.environ.get("CUDA_VISIBLE_DEVICES")),
        *((name, _version(name)) for name in _LIBRARIES),
    )
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _driver() -> str | None:
    try:
        return _DRIVER.read_text(errors="replace")
    except OSError:
        return None


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _entries() -> dict[str, Speeds]:
    """The file's contents, key by key, oldest first; whatever is not as it should be is left out."""
    try:
        with cache_file().open("rb") as stream:
            read = json.loads(stream.read(_MOST_BYTES))
        if read["format"] != FORMAT:
            return {}
        return {str(key): _speeds(values) for key, values in read["entries"].items()}
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return {}


def _speeds(values: Mapping[str, Sequence[float] | None]) -> Speeds:
    speeds: Speeds = {}
    for name, value in values.items():
        if value is None:
            speeds[name] = None
        else:
            opening, view = map(float, value)
            if 0 <= opening < 1e7 and 0 < view < 1e7:
                speeds[name] = Speed(opening, view)
    return speeds
