"""What this machine is: processor, memory, accelerators. Asked of the system, never of a heavy library."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

# /proc/cpuinfo flag -> the name people know, for what decides the speed of a network on a CPU.
INSTRUCTION_SETS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_int8": "AMX INT8",
    "amx_bf16": "AMX BF16",
    "neon": "NEON",
    "asimd": "NEON",
    "asimddp": "dot product",
    "i8mm": "I8MM",
    "bf16": "BF16",
    "sve": "SVE",
}
_NVIDIA_SMI = (
    "nvidia-smi",
    "--query-gpu=name,memory.total,driver_version,compute_cap",
    "--format=csv,noheader",
)
_GPU_FILES = ("/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/dxg")  # a driver, a Jetson, Windows' subsystem
_PATIENCE = 5.0  # seconds; nvidia-smi can hang on a sick driver


@dataclass(frozen=True)
class Machine:
    """The facts that a measurement or a bug report needs.

    Attributes:
        system: operating system and architecture.
        board: maker's name of a single-board computer, None elsewhere.
        cpu: processor model.
        cores: logical cores that this process may use.
        instructions: instruction sets out of ``INSTRUCTION_SETS``, best known names.
        memory_gib: main memory in GiB, None where the system does not say.
        gpus: one line a CUDA device, as nvidia-smi tells it.
        jetson: the L4T release line of a Jetson, None elsewhere.
    """

    system: str
    board: str | None
    cpu: str
    cores: int
    instructions: tuple[str, ...]
    memory_gib: float | None
    gpus: tuple[str, ...]
    jetson: str | None


def this_machine() -> Machine:
    """Ask the system; takes a few milliseconds, or what nvidia-smi takes where there is one."""
    cpu, cores, instructions = processor()
    release = _text("/etc/nv_tegra_release").splitlines()
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        board=_text("/proc/device-tree/model").strip("\0 \n") or None,
        cpu=cpu,
        cores=cores,
        instructions=instructions,
        memory_gib=_memory_gib(),
        gpus=_gpus(),
        jetson=release[0].lstrip("# ") if release else None,
    )


def processor() -> tuple[str, int, tuple[str, ...]]:
    """Model, usable cores and instruction sets of the CPU; takes about a millisecond."""
    cpuinfo = _text("/proc/cpuinfo")
    model = cpu_model(cpuinfo) or _mac_cpu() or platform.processor() or platform.machine()
    return model, _usable_cores(), instruction_sets(cpuinfo)


def nvidia_gpu_seen() -> bool:
    """Whether a driver offers an NVIDIA GPU, by the files of its devices; starts no process."""
    return any(Path(file).exists() for file in _GPU_FILES)


def home() -> Path:
    """This user's folder; where a user has none, a place in which nothing is found and nothing can be made.

    A container or service may run under a number that no user has, without ``HOME``.
    """
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull)


def cpu_model(cpuinfo: str) -> str | None:
    """The processor's name in the text of ``/proc/cpuinfo``; None where it has none, as on most ARM."""
    found = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found.group(1).strip() if found else None


def instruction_sets(cpuinfo: str) -> tuple[str, ...]:
    """Those of ``INSTRUCTION_SETS`` that the first processor in the text of ``/proc/cpuinfo`` has."""
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    flags = set(found.group(1).split()) if found else set()
    return tuple(dict.fromkeys(name for flag, name in INSTRUCTION_SETS.items() if flag in flags))


def _text(path: str) -> str:
    """What a system file says; nothing where the system has no such file."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _usable_cores() -> int:
    """A container or ``taskset`` may allow fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _gpus() -> tuple[str, ...]:
    return tuple(line.strip() for line in _output(*_NVIDIA_SMI).splitlines() if line.strip())


def _mac_cpu() -> str:
    return (
        _output("sysctl", "-n", "machdep.cpu.brand_string").strip() if platform.system() == "Darwin" else ""
    )


def _output(*command: str) -> str:
    """What ``command`` prints; nothing where it is absent, fails or does not answer in time."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
