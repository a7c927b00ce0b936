"""torch.compile over the network: what the kernels are to be compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.torch_backend import TorchBackend, obstacle

if TYPE_CHECKING:
    from crossiqa_edge.model.quality import QualityModel
    from crossiqa_edge.runtime.torch_backend import Score

__all__ = ["obstacle", "open_backend"]


def open_backend(
    artefact: Artefact, *, threads: int | None = None, reason: str = "asked for"
) -> TorchBackend:
    """Load the weights; the first inference of a batch size compiles, which takes from seconds to minutes.

    Raises:
        ArtefactError: parameters that do not fit the card.
    """
    return TorchBackend(artefact, "torch-compile", _compiled, threads=threads, reason=reason)


def _compiled(model: QualityModel) -> Score:
    import torch

    score: Score = torch.compile(model)
    return score
