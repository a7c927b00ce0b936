"""The fused kernels of ``crossiqa_edge.kernels`` in place of the network; on a CPU, their references."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossiqa_edge.runtime import torch_backend
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.torch_backend import TorchBackend

if TYPE_CHECKING:
    from crossiqa_edge.model.quality import QualityModel
    from crossiqa_edge.runtime.torch_backend import Score


def obstacle(artefact: Artefact) -> str | None:
    """Why this backend cannot run ``artefact`` here, or None if it can."""
    return torch_backend.obstacle(artefact, needs=(*torch_backend.NEEDS, "triton"))


def open_backend(
    artefact: Artefact, *, threads: int | None = None, reason: str = "asked for"
) -> TorchBackend:
    """Load the weights; on a GPU in float16, in one CUDA graph for each batch size.

    Raises:
        ArtefactError: parameters that do not fit the card.
        ConfigError: a network that the kernels do not take.
    """
    return TorchBackend(artefact, "torch-kernels", _fused, threads=threads, reason=reason, half=True)


def _fused(model: QualityModel) -> Score:
    import torch

    from crossiqa_edge.kernels.graph import Graphed
    from crossiqa_edge.kernels.quality import FusedQuality

    if not next(model.parameters()).is_cuda:
        return FusedQuality(model)
    return Graphed(FusedQuality(model, torch.float16))
