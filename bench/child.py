"""One cold start in a process of its own: import, open, first score, and the memory it took at most.

``python -m crossiqa_edge.bench.child`` takes a point as JSON on standard input, then a picture's bytes
follow; it prints one JSON object. ``cold_start`` runs it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossiqa_edge.errors import BackendError

if TYPE_CHECKING:
    from crossiqa_edge.bench.point import Point

_STATUS = Path("/proc/self/status")


def cold_start(point: Point, picture: bytes, device: str = "cpu") -> dict[str, Any]:
    """Milliseconds of ``import``, ``open`` and ``first`` score, ``peak_rss_mb`` and ``peak_device_mb``.

    Measured in a fresh process; the memory of the device, where ``device`` is not a CPU, in one more, for
    asking it makes CUDA's context, which belongs to the time of opening.

    Raises:
        BackendError: the process failed.
    """
    found = _run(point, picture, memory=False)
    found["peak_device_mb"] = None if device == "cpu" else _run(point, picture, memory=True)["peak_device_mb"]
    return found


def _run(point: Point, picture: bytes, memory: bool) -> dict[str, Any]:
    """What a fresh process finds; with ``memory``, only what it says of the device's memory counts."""
    told = json.dumps({**asdict(point), "memory": memory}).encode() + b"\n" + picture
    done = subprocess.run([sys.executable, "-m", __name__], input=told, capture_output=True, check=False)
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise BackendError(f"{point}: the cold start failed: {last[0]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def peak_rss_mb() -> float | None:
    """Most memory this process has had resident, in MB; None where the system does not say.

    From the kernel's high-water mark of this address space: ``getrusage`` also counts the parent's,
    whose memory a child shares until it has started its own program.
    """
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    kibibytes = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    return None if kibibytes is None else round(int(kibibytes) * 1024 / 1e6, 1)


def _main() -> None:
    values = json.loads(sys.stdin.buffer.readline())
    picture = sys.stdin.buffer.read()
    if not values["memory"]:
        print(json.dumps({**_first_score(values, picture), "peak_rss_mb": peak_rss_mb()}))
        return
    from crossiqa_edge.bench.device import device_peak

    with device_peak() as peak:
        _first_score(values, picture)
    used = peak.used
    print(json.dumps({"peak_device_mb": None if used is None else round(used / 1e6, 1)}))


def _first_score(values: dict[str, Any], picture: bytes) -> dict[str, float]:
    """Milliseconds of the steps to it."""
    from time import perf_counter

    start = perf_counter()
    from crossiqa_edge.runtime.scorer import Scorer

    imported = perf_counter()
    with Scorer.load(
        values["model"],
        backend=values["backend"],
        sampling=values["sampling"],
        views=values["views"],
        threads=values["threads"],
    ) as scorer:
        opened = perf_counter()
        scorer.score(picture)
        scored = perf_counter()
    steps = {"import": imported - start, "open": opened - imported, "first": scored - opened}
    return {f"{name}_ms": round(1e3 * seconds, 2) for name, seconds in steps.items()}


if __name__ == "__main__":
    _main()
