"""What a measurement cannot be read without: machine, clocks, load, versions, commit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from crossiqa_edge.bench.nvml import clocks
from crossiqa_edge.machine import this_machine
from crossiqa_edge.version import __version__

LIBRARIES = (
    "numpy",
    "pillow",
    "av",
    "onnxruntime",
    "openvino",
    "torch",
    "triton",
    "tensorrt",
    "tensorrt_rtx",
)
_CPU = Path("/sys/devices/system/cpu")
_GIT_PATIENCE = 5.0  # seconds


def facts() -> dict[str, Any]:
    """JSON-ready facts that stay the same during a run."""
    return {
        "machine": asdict(this_machine()),
        "python": sys.version.split()[0],
        "package": __version__,
        "libraries": versions(LIBRARIES),
        "commit": commit(Path(__file__).parent),
    }


def weather(cpu: Path = _CPU) -> dict[str, Any]:
    """JSON-ready facts that change: clocks, governor, throttling, load. None where the system is silent.

    Args:
        cpu: folder of the kernel's processor files.
    """
    return {
        "clock_mhz": _clock_mhz(),
        "governor": _read(cpu / "cpu0/cpufreq/scaling_governor"),
        "throttle_events": throttle_events(cpu),
        "gpu": clocks(),
        "load_1min": round(os.getloadavg()[0], 2),
    }


def throttle_events(cpu: Path = _CPU) -> int | None:
    """How often the processor has slowed down for heat since it started; None where it does not count."""
    counts = [_read(path) for path in cpu.glob("cpu*/thermal_throttle/core_throttle_count")]
    return sum(map(int, filter(None, counts))) if counts else None


def versions(names: Iterable[str]) -> dict[str, str]:
    """Version of each of the distributions ``names`` that is installed."""
    installed = {name: _version(name) for name in names}
    return {name: version for name, version in installed.items() if version is not None}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def commit(folder: Path) -> str | None:
    """Short hash of the commit that ``folder`` is at, ``+`` where files differ from it; None without git."""
    described = ("git", "-C", str(folder), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*")
    try:
        done = subprocess.run(described, capture_output=True, text=True, timeout=_GIT_PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _clock_mhz() -> float | None:
    lines = (_read(Path("/proc/cpuinfo")) or "").splitlines()
    clocks = [float(line.split(":")[1]) for line in lines if line.startswith("cpu MHz")]
    return round(sum(clocks) / len(clocks), 1) if clocks else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
