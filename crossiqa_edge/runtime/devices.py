"""The GPU that engines are built for and run on, asked of the CUDA runtime."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from importlib.util import find_spec

from crossiqa_edge.errors import BackendError

# Name of a runtime -> (module, distribution, extra of this package).
RUNTIMES = {
    "tensorrt": ("tensorrt", "tensorrt", "tensorrt"),
    "tensorrt-rtx": ("tensorrt_rtx", "tensorrt_rtx", "tensorrt-rtx"),
}


@dataclass(frozen=True, slots=True)
class Device:
    """The first GPU of this machine: its name and architecture, for instance 87 for sm_87."""

    name: str
    capability: int


@cache
def device() -> Device | None:
    """The GPU that CUDA would use, None where there is none or the CUDA bindings are missing."""
    if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
        return None
    from cuda.bindings import runtime

    error, properties = runtime.cudaGetDeviceProperties(0)
    if error != runtime.cudaError_t.cudaSuccess:
        return None
    return Device(
        properties.name.decode(errors="replace").strip("\0"), 10 * properties.major + properties.minor
    )


def runtime_version(name: str) -> str | None:
    """Full version of the library behind the runtime ``name``, None where it is not installed."""
    module, distribution, _ = RUNTIMES[name]
    if find_spec(module) is None:
        return None
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # JetPack's package has no metadata in some releases
        return str(import_module(module).__version__)


def absence(name: str) -> str:
    """What to do where the runtime ``name`` is missing."""
    module, _, extra = RUNTIMES[name]
    return f"{module} is not installed: pip install 'crossiqa-edge[{extra}]'"


def installed_version(name: str) -> str:
    """``runtime_version``, or BackendError that says how to install it."""
    version = runtime_version(name)
    if version is None:
        raise BackendError(absence(name))
    return version


def platform_name() -> str:
    """Operating system and processor, for instance ``Linux aarch64``."""
    return f"{platform.system()} {platform.machine()}"
