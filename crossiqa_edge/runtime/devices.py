"""The GPU that engines are built for and run on, asked of the CUDA runtime, and the library that does it."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from crossiqa_edge.errors import BackendError

# Name of a runtime -> (module, extra of this package).
RUNTIMES = {
    "tensorrt": ("tensorrt", "tensorrt"),
    "tensorrt-rtx": ("tensorrt_rtx", "tensorrt-rtx"),
}
_OWN_VERSION = re.compile(r"^__version__\s*=\s*[\"']([^\"'\s]+)[\"']\s*(?:#.*)?$", re.MULTILINE)
_TAKEN_VERSION = re.compile(r"^from (\w+) import .*\b__version__\b", re.MULTILINE)


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


def others_possible() -> bool:
    """Whether another start of ours may see another GPU: there are several, or some may be hidden."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return True
    if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
        return False
    from cuda.bindings import runtime

    error, count = runtime.cudaGetDeviceCount()
    return bool(error == runtime.cudaError_t.cudaSuccess and count > 1)


@cache
def runtime_version(name: str) -> str | None:
    """Full version of the library behind the runtime ``name``, None where it is not installed.

    It is the one that the module states which would be imported. The distribution of that name says
    little: it is an empty one that asks for others, which may have been upgraded alone, or lie in another
    folder. Native libraries of another version than the module are told too. Nothing of the library is run
    for this, as long as its source says it.
    """
    module = RUNTIMES[name][0]
    if find_spec(module) is None:
        return None
    stated = _loaded_version(module) or _stated_version(module)
    if stated is None:
        try:
            stated = str(import_module(module).__version__)
        except (ImportError, OSError, AttributeError):  # what cannot be imported is not there
            return None
    libraries = _libraries_version(module)
    return stated if libraries in (None, stated) else f"{stated}+libs.{libraries}"


def absence(name: str) -> str:
    """What to do where the runtime ``name`` is missing."""
    module, extra = RUNTIMES[name]
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


def _loaded_version(module: str) -> str | None:
    """Of what runs in this process already, whatever was installed since."""
    return getattr(sys.modules.get(module), "__version__", None)


def _stated_version(module: str) -> str | None:
    """``__version__`` in the source of ``module``, or of the one that it takes it from, if either says it."""
    for _ in range(2):
        text = _source(module)
        if own := _OWN_VERSION.search(text):
            return own[1]
        taken = _TAKEN_VERSION.search(text)
        if taken is None:
            return None
        module = taken[1]
    return None


def _source(module: str) -> str:
    """Empty where it is not Python, or cannot be read."""
    spec = find_spec(module)
    origin = Path(spec.origin or "") if spec else Path()
    try:
        return origin.read_text(errors="replace") if origin.suffix == ".py" else ""
    except OSError:
        return ""


def _libraries_version(module: str) -> str | None:
    """Of the package with the native libraries, where ``module`` takes them from one, as wheels do."""
    spec = find_spec(f"{module}_libs")
    if spec is None or spec.origin is None:
        return None
    pattern = re.compile(rf"{module}(?:_cu\d+)?_libs-(.+)\.dist-info")
    installed = (pattern.fullmatch(path.name) for path in Path(spec.origin).parents[1].iterdir())
    return "+".join(sorted(found[1] for found in installed if found)) or None
