"""Which backend runs an artefact, and why that one.

``auto`` takes the one that will be done first, opening included, of those that can run the file here, by
what was measured on this machine (see ``speeds``). Where there is a choice and it was not measured yet, that
is done on first use, once, in half a second or more. Of equals, the first of ``BACKENDS`` is taken.
"""

from __future__ import annotations

from importlib import import_module
from time import perf_counter
from types import ModuleType

from crossiqa_edge.errors import ArtefactError, BackendError, ConfigError
from crossiqa_edge.machine import nvidia_gpu_seen
from crossiqa_edge.runtime import speeds
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.backend import Backend

AUTO = "auto"

# Name -> module, in the order in which they are tried, and taken if equally fast: engines built for this GPU,
# then GPUs, then what every installation has. A module has `obstacle(artefact) -> str | None`, which imports
# nothing heavy, and `open_backend(artefact, *, threads, reason) -> Backend`.
BACKENDS = {
    "tensorrt": "crossiqa_edge.runtime.tensorrt",
    "tensorrt-rtx": "crossiqa_edge.runtime.tensorrt_rtx",
    "onnxruntime-cuda": "crossiqa_edge.runtime.ort_cuda",
    "onnxruntime-tensorrt": "crossiqa_edge.runtime.ort_tensorrt",
    "onnxruntime": "crossiqa_edge.runtime.ort",
    "openvino": "crossiqa_edge.runtime.openvino",
    "torch": "crossiqa_edge.runtime.torch_backend",
    "torch-compile": "crossiqa_edge.runtime.torch_compile",
    "torch-kernels": "crossiqa_edge.runtime.torch_kernels",
}
_ON_CPU = frozenset({"onnxruntime", "openvino"})
# Never taken by `auto`, because the first inference takes up to minutes.
ONLY_BY_NAME = frozenset({"onnxruntime-tensorrt", "torch-compile", "torch-kernels"})
# Beyond the cores of any board or server. Runtimes make every thread they are told to, and with many more
# the system kills the process, without a message.
MOST_THREADS = 1024


def open_backend(
    artefact: Artefact, name: str = AUTO, *, threads: int | None = None, work: int | None = None
) -> Backend:
    """Open ``artefact`` with the backend ``name``, or with the one that ``auto`` takes.

    Args:
        artefact: a model file.
        name: a key of ``BACKENDS``, or ``auto``.
        threads: CPU threads of one inference, 1 to ``MOST_THREADS``; None leaves it to the backend.
        work: views that will be scored, as far as the caller knows; ``auto`` weighs it against the time to
            open, and takes the fastest where it is None.

    Raises:
        ConfigError: unknown ``name`` or bad ``threads``.
        ArtefactError: bare weights, which must be exported first, or a graph that is not accepted.
        BackendError: the backend cannot run this artefact on this machine.
    """
    if name != AUTO and name not in BACKENDS:
        raise ConfigError(f"unknown backend {name!r}; choose from {', '.join([AUTO, *BACKENDS])}")
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise ConfigError(f"threads must be 1 to {MOST_THREADS}, not {threads}")
    if name == AUTO:
        name, reason = _choose(artefact, threads, work)
    else:
        hindrance = _module(name).obstacle(artefact)
        if hindrance:
            raise BackendError(f"{artefact.path}: {hindrance}")
        reason = "asked for by name"
    return _open(artefact, name, threads, reason)


def obstacles(artefact: Artefact) -> dict[str, str | None]:
    """Every backend, and why it cannot run ``artefact`` here, or None if it can."""
    return {name: _module(name).obstacle(artefact) for name in BACKENDS}


def measured(artefact: Artefact, *, threads: int | None = None) -> speeds.Speeds:
    """Time all that ``auto`` may take, and remember it; None for those that fail.

    Raises:
        BackendError: not one of them runs.
    """
    opened: dict[str, Backend] = {}
    opening: dict[str, float] = {}
    failed: dict[str, str] = {}
    views = speeds.sample(artefact)
    try:
        for name in _able(obstacles(artefact)):
            start = perf_counter()
            try:
                backend = opened[name] = _open(artefact, name, threads, "being measured")
                opening[name] = round(1e3 * (perf_counter() - start), 1)
                backend.infer(views)
            except (ArtefactError, BackendError) as error:
                failed[name] = str(error)
        running = {name: backend for name, backend in opened.items() if name not in failed}
        if not running:
            raise BackendError("; ".join(failed.values()) or f"{artefact.path}: no backend can run it here")
        timed = speeds.measure(running, views)
    finally:
        for backend in opened.values():
            backend.close()
    found: speeds.Speeds = {name: speeds.Speed(opening[name], view) for name, view in timed.items()}
    found.update(dict.fromkeys(failed))
    speeds.remember(artefact, threads, found)
    return found


def _choose(artefact: Artefact, threads: int | None, work: int | None) -> tuple[str, str]:
    """Name of a backend, and the reason in a line."""
    hindrances = obstacles(artefact)
    able = _able(hindrances)
    if not able:
        raise _nobody(artefact, hindrances)
    hint = _uninstalled(hindrances)
    if len(able) == 1:
        return able[0], f"the only one that runs this {artefact.kind} file here{hint}"
    known = speeds.recall(artefact, threads)
    if not set(able) <= set(known) or not any(known[name] for name in able):
        known = measured(artefact, threads=threads)
    running = {name: speed for name in able if (speed := known[name]) is not None}
    if broken := [name for name in able if name not in running]:
        hint = f"; failed when measured: {', '.join(broken)}{hint}"
    figures = ", ".join(f"{name} {speed.view:.3g}" for name, speed in running.items())
    if work is None:
        return min(running, key=lambda name: running[name].view), f"fastest here, ms a view: {figures}{hint}"
    best = min(running, key=lambda name: running[name].total(work))
    views = "1 view" if work == 1 else f"{work} views"
    return best, f"first to be done with {views}, opening included; ms a view: {figures}{hint}"


def _able(hindrances: dict[str, str | None]) -> list[str]:
    return [name for name, why in hindrances.items() if why is None and name not in ONLY_BY_NAME]


def _nobody(artefact: Artefact, hindrances: dict[str, str | None]) -> ArtefactError | BackendError:
    if artefact.kind == "safetensors":
        return ArtefactError(
            f"{artefact.path}: bare weights, not a graph; first run: crossiqa export {artefact.path} "
            f"-o {artefact.path.with_suffix('.onnx')}"
        )
    reasons = "; ".join(dict.fromkeys(f"{name}: {why}" for name, why in hindrances.items()))
    return BackendError(f"{artefact.path}: no backend can run it here ({reasons})")


def _uninstalled(hindrances: dict[str, str | None]) -> str:
    """What may be faster on this machine, once it is installed."""
    missing = [name for name, why in hindrances.items() if why and "pip install" in why]
    names = [name for name in missing if name in _ON_CPU or nvidia_gpu_seen()]
    return f"; may be faster, see crossiqa doctor: {', '.join(names)}" if names else ""


def _open(artefact: Artefact, name: str, threads: int | None, reason: str) -> Backend:
    backend: Backend = _module(name).open_backend(artefact, threads=threads, reason=reason)
    return backend


def _module(name: str) -> ModuleType:
    return import_module(BACKENDS[name])
