"""``Backend``: what every runtime looks like to the ``Scorer``, and the checks that all of them share."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from crossiqa_edge.errors import ArtefactError, BackendError
from crossiqa_edge.imaging.sampling import Views

Scores = npt.NDArray[np.float32]  # (V,), 0..100

# A sigmoid times 100 cannot leave 0..100; float16 and int8 graphs may miss the ends by rounding.
_ROUNDING = 0.1


class Backend(Protocol):
    """An open model. ``infer`` may be called from several threads at once; ``close`` from one, last."""

    @property
    def name(self) -> str:
        """Name it is chosen by, for instance ``onnxruntime``."""

    @property
    def device(self) -> str:
        """What it computes on, for instance ``cpu``."""

    @property
    def precision(self) -> str:
        """``fp32``, ``fp16`` or ``int8``, as the card says."""

    @property
    def reason(self) -> str:
        """Why this backend was chosen, in words."""

    @property
    def describe(self) -> str:
        """Name, device and precision in a line, for instance ``onnxruntime cpu fp32``."""

    def infer(self, views: Views) -> Scores:
        """Scores, float32 (V,) within 0..100, of ``views``, uint8 (V, S, S, 3) with V >= 1.

        Raises:
            BackendError: ``views`` has another type or shape, or the runtime failed.
        """

    def close(self) -> None:
        """Give back what the model holds; further calls of ``infer`` raise BackendError."""


@runtime_checkable
class Uploading(Protocol):
    """A backend whose views must first be copied to a device; for measuring what that takes."""

    def upload(self, views: Views) -> None:
        """Copy ``views`` to the device as ``infer`` does, and wait until they are there.

        Raises:
            BackendError: as of ``infer``.
        """


def check_views(views: Views, size: int) -> None:
    """Raise BackendError unless ``views`` is uint8 (V, ``size``, ``size``, 3) with V >= 1."""
    if views.dtype != np.uint8 or views.ndim != 4 or views.shape[1:] != (size, size, 3) or not len(views):
        raise BackendError(
            f"views are uint8 (1 or more, {size}, {size}, 3), these are {views.dtype} {views.shape}; "
            "make them with crossiqa_edge.imaging.sampling.sample"
        )


def checked_scores(scores: npt.NDArray[Any], count: int, where: str) -> Scores:
    """``scores`` as float32 (``count``,) clipped to 0..100.

    Raises:
        ArtefactError: another shape or type, not finite, or further outside 0..100 than rounding explains.
    """
    if scores.shape != (count,) or scores.dtype != np.float32:
        raise ArtefactError(
            f"{where}: gave {scores.dtype} {scores.shape} for {count} views; export the model again"
        )
    if not np.all((scores >= -_ROUNDING) & (scores <= 100 + _ROUNDING)):  # also False for NaN
        raise ArtefactError(f"{where}: gave a score outside 0..100; export the model again")
    clipped: Scores = np.clip(scores, 0, 100)
    return clipped
