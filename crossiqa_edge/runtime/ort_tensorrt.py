"""onnxruntime's TensorRT provider. It has not been run on a GPU yet.

It builds an engine at every opening, and keeps none: engines that lie in caches of onnxruntime's are not
authenticated. ``crossiqa export --to tensorrt`` builds one that is kept.
"""

from __future__ import annotations

from crossiqa_edge.runtime import ort
from crossiqa_edge.runtime.artefact import Artefact


def obstacle(artefact: Artefact) -> str | None:
    """Why this backend cannot run ``artefact`` here, or None if it can."""
    return ort.obstacle(artefact, ort.TENSORRT)


def open_backend(
    artefact: Artefact, *, threads: int | None = None, reason: str = "asked for"
) -> ort.OrtBackend:
    """See ``crossiqa_edge.runtime.ort.open_backend``; ``threads`` are those of what is left to the CPU."""
    return ort.open_backend(artefact, threads=threads, reason=reason, provider=ort.TENSORRT)
