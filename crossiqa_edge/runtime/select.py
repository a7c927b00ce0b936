"""Which backend runs an artefact, and why that one."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from crossiqa_edge.errors import ArtefactError, BackendError, ConfigError
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.backend import Backend

AUTO = "auto"

# Name -> module, best first. A module has `obstacle(artefact) -> str | None`, which imports nothing heavy,
# and `open_backend(artefact, *, threads, reason) -> Backend`.
BACKENDS = {
    "onnxruntime": "crossiqa_edge.runtime.ort",
    "openvino": "crossiqa_edge.runtime.openvino",
    "tensorrt": "crossiqa_edge.runtime.tensorrt",
    "tensorrt-rtx": "crossiqa_edge.runtime.tensorrt_rtx",
}


def open_backend(artefact: Artefact, name: str = AUTO, *, threads: int | None = None) -> Backend:
    """Open ``artefact`` with the backend ``name``, or with the first that can run it here.

    Args:
        artefact: a model file.
        name: a key of ``BACKENDS``, or ``auto``.
        threads: CPU threads of one inference, at least 1; None leaves it to the backend.

    Raises:
        ConfigError: unknown ``name`` or bad ``threads``.
        ArtefactError: bare weights, which must be exported first, or a graph that is not accepted.
        BackendError: the backend cannot run this artefact on this machine.
    """
    if name != AUTO and name not in BACKENDS:
        raise ConfigError(f"unknown backend {name!r}; choose from {', '.join([AUTO, *BACKENDS])}")
    if threads is not None and threads < 1:
        raise ConfigError(f"threads must be at least 1, not {threads}")
    if artefact.kind == "safetensors":
        raise ArtefactError(
            f"{artefact.path}: bare weights, not a graph; first run: crossiqa export {artefact.path} "
            f"-o {artefact.path.with_suffix('.onnx')}"
        )
    module, reason = _first_without_obstacle(artefact) if name == AUTO else _asked_for(artefact, name)
    backend: Backend = module.open_backend(artefact, threads=threads, reason=reason)
    return backend


def _asked_for(artefact: Artefact, name: str) -> tuple[ModuleType, str]:
    module = import_module(BACKENDS[name])
    obstacle = module.obstacle(artefact)
    if obstacle:
        raise BackendError(f"{artefact.path}: {obstacle}")
    return module, "asked for by name"


def _first_without_obstacle(artefact: Artefact) -> tuple[ModuleType, str]:
    passed_over: list[str] = []
    for name in BACKENDS:
        module = import_module(BACKENDS[name])
        obstacle = module.obstacle(artefact)
        if obstacle is None:
            return module, "; ".join([*passed_over, f"{name} runs this {artefact.kind} file here"])
        passed_over.append(f"not {name}: {obstacle}")
    raise BackendError(f"{artefact.path}: no backend can run it here ({'; '.join(passed_over)})")
