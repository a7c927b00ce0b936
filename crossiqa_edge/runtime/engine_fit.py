"""Whether an engine fits this machine as it is now, in words if not, and whether it ever may again."""

from __future__ import annotations

from typing import NamedTuple

from crossiqa_edge.runtime import devices
from crossiqa_edge.runtime.engine_file import EngineKey
from crossiqa_edge.version import __version__


class Difference(NamedTuple):
    """One thing in which an engine and this machine are not the same.

    Attributes:
        built: what the engine was built for.
        found: what this machine has.
        absent: it has none at all, so that nothing could be built in place of the engine either.
        lasting: it will not be otherwise with the next start, in another environment of the same user.
    """

    built: str
    found: str
    absent: bool = False
    lasting: bool = True


def differences(key: EngineKey) -> list[Difference]:
    """All that speaks against an engine with ``key``; empty if nothing does."""
    pairs = [
        *_gpu(key),
        _library(key),
        Difference(key.platform, devices.platform_name()),
        Difference(f"crossiqa-edge {key.toolkit}", f"crossiqa-edge {__version__}"),
    ]
    return [pair for pair in pairs if pair.built != pair.found]


def obstacle(key: EngineKey) -> str | None:
    """Why an engine with ``key`` cannot be used here, in words; None if it can."""
    found = differences(key)
    if not found:
        return None
    built = ", ".join(pair.built for pair in found)
    here = ", ".join(pair.found for pair in found)
    outcome = "cannot run here" if any(pair.absent for pair in found) else "will rebuild"
    return f"built for {built}; this machine has {here}: {outcome}"


def is_past(key: EngineKey) -> bool:
    """Whether this machine will never load an engine with ``key`` again."""
    return any(pair.lasting for pair in differences(key))


def _gpu(key: EngineKey) -> list[Difference]:
    here = devices.device()
    architectures = " ".join(f"sm_{capability}" for capability in key.capabilities)
    if here is None:
        return [Difference(architectures, "no GPU", absent=True, lasting=False)]
    lasting = not devices.others_possible()
    if here.capability not in key.capabilities:
        return [Difference(architectures, f"sm_{here.capability}", lasting=lasting)]
    return [Difference(key.device, here.name, lasting=lasting)] if key.device else []


def _library(key: EngineKey) -> Difference:
    """A library that is absent here may be in another of the user's environments, which share the cache."""
    version = devices.runtime_version(key.runtime) if key.runtime in devices.RUNTIMES else None
    built = f"{key.runtime} {key.runtime_version}"
    if version is None:
        return Difference(built, f"no {key.runtime}", absent=True, lasting=False)
    return Difference(built, f"{key.runtime} {version}")
