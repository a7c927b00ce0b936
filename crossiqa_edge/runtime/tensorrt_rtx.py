"""Engines executed by TensorRT for RTX: as ``crossiqa_edge.runtime.tensorrt``, with the other library."""

from __future__ import annotations

from crossiqa_edge.runtime import tensorrt
from crossiqa_edge.runtime.artefact import Artefact

NAME = "tensorrt-rtx"


def obstacle(artefact: Artefact) -> str | None:
    """Why this backend cannot run ``artefact`` here, or None if it can."""
    return tensorrt.obstacle(artefact, NAME)


def open_backend(
    artefact: Artefact, *, threads: int | None = None, reason: str = "asked for"
) -> tensorrt.TensorRTBackend:
    """Load the engine of ``artefact``; see ``crossiqa_edge.runtime.tensorrt.open_backend``."""
    return tensorrt.open_backend(artefact, threads=threads, reason=reason, name=NAME)
