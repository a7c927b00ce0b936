"""How fast each backend runs a model on this machine: measured once, remembered in a small file.

A measurement holds for one model file and the engines built of it, one machine, one number of threads and
the libraries installed then; with any of them changed it is not found, and taken anew when somebody asks.
That a backend failed holds for a day. The file is a cache in the full sense: damaged, foreign or unwritable,
it is as if there were none.
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
from time import perf_counter, time
from typing import NamedTuple

import numpy as np

from crossiqa_edge.atomic import write_text
from crossiqa_edge.errors import OutputError
from crossiqa_edge.imaging.sampling import Views
from crossiqa_edge.machine import home, processor
from crossiqa_edge.runtime import devices, engine_cache
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.backend import Backend

BUDGET = 0.4  # seconds for all backends together; three rounds are made whatever they take
FORMAT = 2
# Seconds for which a failure is remembered. A backend may fail for what passes, such as memory that another
# program has taken, so not for ever; and it may take long to fail, so it is not tried at every start.
FORGIVEN = 24 * 3600

_ROUNDS = (3, 31)
_MOST_ENTRIES, _MOST_BYTES = 64, 1 << 18
_LIBRARIES = ("onnxruntime", "onnxruntime-gpu", "openvino", "torch", "triton", "crossiqa-edge")
_DRIVER = Path("/proc/driver/nvidia")
_BOARD = Path("/proc/device-tree/model")


class Speed(NamedTuple):
    """Milliseconds: to open the model, its library's import included, and for a view."""

    opening: float
    view: float

    def total(self, views: int) -> float:
        """Milliseconds from opening to the last of ``views``."""
        return self.opening + views * self.view


Speeds = dict[str, Speed | None]  # backend -> its speed; None where it failed
# As in the file: instead of None the time of the failure, in seconds since 1970.
_Kept = dict[str, Speed | float]


def cache_file() -> Path:
    """``$XDG_CACHE_HOME/crossiqa/speeds.json``; not made here."""
    return Path(os.environ.get("XDG_CACHE_HOME") or home() / ".cache") / "crossiqa" / "speeds.json"


def recall(artefact: Artefact, threads: int | None) -> Speeds:
    """What was measured for ``artefact`` on this machine as it is now; empty where nothing was."""
    entries = _entries()
    kept = entries.get(_key(artefact, threads), {}) if entries else {}
    now = time()
    return {
        name: value if isinstance(value, Speed) else None
        for name, value in kept.items()
        if isinstance(value, Speed) or 0 <= now - value < FORGIVEN  # a clock put back forgives as well
    }


def remember(artefact: Artefact, threads: int | None, speeds: Speeds) -> None:
    """Keep ``speeds`` for ``recall``, failures for a day; forget them where the cache cannot be written."""
    entries = _entries()
    key = _key(artefact, threads)
    entries.pop(key, None)
    now = time()
    entries[key] = {name: now if speed is None else speed for name, speed in speeds.items()}
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
        *(_text(_BOARD), _text(_DRIVER / "version"), _gpus()),
        *(os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")),
        *((name, _version(name)) for name in _LIBRARIES),
        *((name, devices.runtime_version(name)) for name in devices.RUNTIMES),
        engine_cache.plans(artefact.sha256),
    )
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _gpus() -> list[str]:
    """Models of the GPUs, in order, as the driver's files have them; no library is woken for that."""
    texts = (_text(path) or "" for path in sorted(_DRIVER.glob("gpus/*/information")))
    return [line for text in texts for line in text.splitlines() if line.startswith("Model")]


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return None


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _entries() -> dict[str, _Kept]:
    """The file's contents, key by key, oldest first; whatever is not as it should be is left out."""
    try:
        with cache_file().open("rb") as stream:
            read = json.loads(stream.read(_MOST_BYTES))
        if read["format"] != FORMAT:
            return {}
        return {str(key): _kept(values) for key, values in read["entries"].items()}
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return {}


def _kept(values: Mapping[str, Sequence[float] | float]) -> _Kept:
    kept: _Kept = {}
    for name, value in values.items():
        if isinstance(value, (int, float)):
            kept[name] = float(value)
        else:
            opening, view = map(float, value)
            if 0 <= opening < 1e7 and 0 < view < 1e7:
                kept[name] = Speed(opening, view)
    return kept
