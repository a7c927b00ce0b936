"""onnxruntime's CUDA provider (package ``onnxruntime-gpu``). It has not been run on a GPU yet."""

from __future__ import annotations

from crossiqa_edge.runtime import ort
from crossiqa_edge.runtime.artefact import Artefact


def obstacle(artefact: Artefact) -> str | None:
    """Why this backend cannot run ``artefact`` here, or None if it can."""
    return ort.obstacle(artefact, ort.CUDA)


def open_backend(
    artefact: Artefact, *, threads: int | None = None, reason: str = "asked for"
) -> ort.OrtBackend:
    """See ``crossiqa_edge.runtime.ort.open_backend``; ``threads`` are those of what is left to the CPU."""
    return ort.open_backend(artefact, threads=threads, reason=reason, provider=ort.CUDA)
