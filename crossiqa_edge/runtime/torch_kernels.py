"""The fused kernels of ``crossiqa_edge.kernels`` in place of the network, on a CUDA GPU.

On a CPU the kernels' operators compute their references, which are the network over again: who
asks for kernels there is told so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossiqa_edge.errors import BackendError
from crossiqa_edge.machine import nvidia_gpu_seen
from crossiqa_edge.runtime import torch_backend
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.torch_backend import TorchBackend

if TYPE_CHECKING:
    from crossiqa_edge.model.quality import QualityModel
    from crossiqa_edge.runtime.torch_backend import Score


def obstacle(artefact: Artefact) -> str | None:
    """Why this backend cannot run ``artefact`` here, or None if it can."""
    hindrance = torch_backend.obstacle(artefact, needs=(*torch_backend.NEEDS, "triton"))
    if hindrance is None and not nvidia_gpu_seen():
        return "torch-kernels needs an NVIDIA GPU with its driver, and none is seen; take --backend torch"
    return hindrance


def open_backend(
    artefact: Artefact, *, threads: int | None = None, reason: str = "asked for"
) -> TorchBackend:
    """Load the weights; computes in float16, in one CUDA graph for each batch size.

    Raises:
        ArtefactError: parameters that do not fit the card.
        BackendError: torch sees no GPU, as a build of it without CUDA.
        ConfigError: a network that the kernels do not take.
    """
    import torch

    if not torch.cuda.is_available():
        raise BackendError(
            f"torch-kernels needs a CUDA GPU, and torch {torch.__version__} sees none; take --backend torch"
        )
    return TorchBackend(artefact, "torch-kernels", _fused, threads=threads, reason=reason, half=True)


def _fused(model: QualityModel) -> Score:
    import torch

    from crossiqa_edge.kernels.graph import Graphed
    from crossiqa_edge.kernels.quality import FusedQuality

    return Graphed(FusedQuality(model, torch.float16))
