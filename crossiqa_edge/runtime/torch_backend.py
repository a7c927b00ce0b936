"""torch, running bare weights: without a graph in between, on a CUDA GPU where there is one.

Three backends share this file's class: ``torch`` calls the network as it was trained, ``torch-compile``
what torch.compile makes of it, ``torch-kernels`` its fused kernels, in one CUDA graph for each batch size.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from crossiqa_edge.errors import BackendError
from crossiqa_edge.imaging.sampling import Views
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.backend import Scores, check_views, checked_scores

if TYPE_CHECKING:
    import torch

    from crossiqa_edge.model.quality import QualityModel

    Score = Callable[[torch.Tensor], torch.Tensor]  # uint8 (V, S, S, 3) -> float32 (V,)

NEEDS = ("torch", "timm", "safetensors")


def obstacle(artefact: Artefact, needs: tuple[str, ...] = NEEDS) -> str | None:
    """Why this backend cannot run ``artefact`` here, or None if it can."""
    if artefact.kind != "safetensors":
        return f"torch runs bare weights (.safetensors), not {artefact.kind}"
    lacking = [name for name in needs if find_spec(name) is None]
    if lacking:
        return f"{lacking[0]} is not installed: pip install 'crossiqa-edge[train]'"
    return None


def open_backend(
    artefact: Artefact, *, threads: int | None = None, reason: str = "asked for"
) -> TorchBackend:
    """Load the weights and call the network as it is.

    Args:
        threads: CPU threads of every torch operation in this process, for torch has no other setting.

    Raises:
        ArtefactError: parameters that do not fit the card.
    """
    return TorchBackend(artefact, "torch", lambda model: model, threads=threads, reason=reason)


class TorchBackend:
    """A network in this process; see ``crossiqa_edge.runtime.backend.Backend``.

    Args:
        prepare: the network in eval mode, on its device -> what ``infer`` calls.
        name: what users ask for it by.
        half: whether ``prepare`` makes it compute in float16 on a GPU.
    """

    def __init__(
        self,
        artefact: Artefact,
        name: str,
        prepare: Callable[[QualityModel], Score],
        *,
        threads: int | None,
        reason: str,
        half: bool = False,
    ) -> None:
        import torch

        from crossiqa_edge.model.checkpoint import load

        if threads is not None:
            torch.set_num_threads(threads)
        self.name = name
        self.reason = reason
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.precision = "fp16" if half and self.device == "cuda" else "fp32"
        model, card = load(artefact.path)
        self._size = card.view_size
        self._where = str(artefact.path)
        self._score: Score | None = prepare(model.to(self.device))

    @property
    def describe(self) -> str:
        return f"{self.name} {self.device} {self.precision}"

    def infer(self, views: Views) -> Scores:
        import torch

        check_views(views, self._size)
        score = self._score
        if score is None:
            raise BackendError(f"{self._where}: the model was closed; load it again")
        try:
            with torch.no_grad():
                scores = score(self._on_device(views)).float().cpu().numpy()
        except RuntimeError as error:  # torch's compiler and CUDA raise subclasses of it
            reason = " ".join(str(error).split())[:300]
            raise BackendError(f"{self._where}: torch failed: {reason}") from error
        return checked_scores(scores, len(views), self._where)

    def upload(self, views: Views) -> None:
        import torch

        check_views(views, self._size)
        self._on_device(views)
        if self.device == "cuda":
            torch.cuda.synchronize()

    def close(self) -> None:
        self._score = None

    def _on_device(self, views: Views) -> torch.Tensor:
        import torch

        return torch.from_numpy(np.array(views)).to(self.device)  # a copy: views may be read-only
