"""What a compiled kernel turned out to be, read from its PTX and its cubin: nothing of it needs a GPU."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from crossiqa_edge.errors import BackendError

# Triton ends every entry's parameters with two pointers that its own launcher fills in: memory for the
# kernel's scratch and for its profiler. No kernel here uses either, so that null pointers will do.
HIDDEN_PARAMETERS = ("*scratch", "*profile")

# PTX instructions that tell how well a kernel was compiled.
INSTRUCTIONS = (
    *("cp.async.cg", "cp.async.ca", "cp.async.bulk"),
    *("mma.sync", "wgmma.mma_async", "tcgen05.mma"),
)

_ENTRY = re.compile(r"\.visible \.entry \w+\((.*?)\)", re.DOTALL)
_PARAMETER = re.compile(r"\.param \.([a-z]\d+)")
_USAGE = re.compile(r"REG:(\d+) STACK:(\d+)")
_PATIENCE = 60.0  # seconds for cuobjdump, which takes a hundredth of one


@dataclass(frozen=True, slots=True)
class Assembly:
    """The facts of one compiled kernel.

    Attributes:
        parameters: PTX type of each of the entry's parameters, for instance ``u64``, Triton's two included.
        registers: registers a thread.
        stack: bytes of local memory a thread, which is where spilled registers go.
        instructions: how often each of ``INSTRUCTIONS`` stands in the PTX; absent where it does not.
    """

    parameters: tuple[str, ...]
    registers: int
    stack: int
    instructions: Mapping[str, int]


def inspect(ptx: str, cubin: bytes) -> Assembly:
    """Read the facts; BackendError where PTX or cuobjdump's answer is not what they have been so far."""
    entry = _ENTRY.search(ptx)
    usage = _USAGE.search(_resource_usage(cubin))
    if entry is None or usage is None:
        raise BackendError(
            "the compiled kernel cannot be read; install the Triton that constraints.txt names"
        )
    counts = {name: len(re.findall(re.escape(name) + r"[.\w:]*\s", ptx)) for name in INSTRUCTIONS}
    return Assembly(
        parameters=tuple(_PARAMETER.findall(entry[1])),
        registers=int(usage[1]),
        stack=int(usage[2]),
        instructions={name: count for name, count in counts.items() if count},
    )


def without_hidden_parameters(ptx: str) -> str:
    """``ptx`` whose entry takes only what the kernel itself declares, for launchers that know no others.

    Raises:
        BackendError: the kernel reads one of them.
    """
    entry = _ENTRY.search(ptx)
    if entry is None:
        raise BackendError("the compiled kernel has no entry; install the Triton of constraints.txt")
    own, hidden = (
        entry[1].split(",")[: -len(HIDDEN_PARAMETERS)],
        entry[1].split(",")[-len(HIDDEN_PARAMETERS) :],
    )
    names = [declaration.split()[-1] for declaration in hidden]
    rest = ptx[: entry.start(1)] + ptx[entry.end(1) :]
    if any(re.search(rf"\b{name}\b", rest) for name in names):
        raise BackendError("the compiled kernel uses Triton's scratch memory, which only Triton gives it")
    return f"{ptx[: entry.start(1)]}{','.join(own)}\n{ptx[entry.end(1) :]}"


def _resource_usage(cubin: bytes) -> str:
    from triton import knobs

    with TemporaryDirectory(prefix="crossiqa-") as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        command = [knobs.nvidia.cuobjdump.path, "--dump-resource-usage", str(path)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise BackendError(f"cuobjdump, which comes with Triton, failed: {error}") from error
    return done.stdout
