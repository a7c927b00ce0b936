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


def cold_start(point: Point, picture: bytes) -> dict[str, Any]:
    """Milliseconds of ``import``, ``open`` and ``first`` score, and ``peak_rss_mb``, in a fresh process.

    Raises:
        BackendError: the process failed.
    """
    told = json.dumps(asdict(point)).encode() + b"\n" + picture
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
    from time import perf_counter

    values = json.loads(sys.stdin.buffer.readline())
    picture = sys.stdin.buffer.read()
    start = perf_counter()
    from crossiqa_edge.runtime.scorer import Scorer

    imported = perf_counter()
    with Scorer.load(
        values["model"],
        backend=values["backend"],
        sampling=values["sampling"],
        crops=values["crops"],
        threads=values["threads"],
    ) as scorer:
        opened = perf_counter()
        scorer.score(picture)
        scored = perf_counter()
    steps = {"import": imported - start, "open": opened - imported, "first": scored - opened}
    figures = {f"{name}_ms": round(1e3 * seconds, 2) for name, seconds in steps.items()}
    print(json.dumps({**figures, "peak_rss_mb": peak_rss_mb()}))


if __name__ == "__main__":
    _main()
