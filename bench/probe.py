"""The built-in probe: pictures that the package ships, degraded, with opinions that are people's.

Whoever measures a latency has no data set at hand, yet a point on the latency/accuracy curve needs both
coordinates. The probe is four photographs under KADID-10k's 25 degradations x 5 levels, each labelled with
the population MOS of its degradation. It is small, its opinions are blind to content, and other pictures
under the same degradations are what the shipped models learnt from: it tells whether a precision or a
backend loses ranks, not how good a model is. For that, name a real data set with ``--data``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.data.datasets.population import population
from crossiqa_edge.imaging.sampling import Frame

NAME = "built-in probe (population MOS)"
PICTURES = Path(__file__).parent / "pictures"
_JPEG_QUALITY = 92


def probe_set() -> QualitySet:
    """500 samples, degraded when loaded."""
    found = population(PICTURES)
    return QualitySet(NAME, found.samples, found.native_range)


@dataclass(frozen=True)
class Judged:
    """Pictures in memory with what people think of them, ready for any model.

    Attributes:
        name: of the data set.
        frames: uint8 (H, W, 3) each.
        opinions: float64 (N,) on 0..1, higher is better.
    """

    name: str
    frames: tuple[Frame, ...]
    opinions: npt.NDArray[np.float64]

    @classmethod
    def of(cls, quality_set: QualitySet, limit: int | None = None) -> Judged:
        """Load ``quality_set``, or ``limit`` of its samples spread evenly over it."""
        samples: Sequence[Sample] = quality_set.samples
        if limit is not None and limit < len(samples):
            samples = [samples[i] for i in np.linspace(0, len(samples) - 1, limit).astype(int)]
        return cls(
            quality_set.name,
            tuple(item.load() for item in samples),
            np.array([item.score for item in samples]),
        )


def input_files(judged: Judged, count: int) -> list[bytes]:
    """``count`` pictures of ``judged`` as JPEG files, of all severities: what the timed runs decode."""
    chosen = np.linspace(0, len(judged.frames) - 1, count).astype(int)
    return [_jpeg(judged.frames[index]) for index in chosen]


def digest(files: Sequence[bytes]) -> str:
    """SHA-256 over ``files``: results on other inputs are other results."""
    return hashlib.sha256(b"".join(hashlib.sha256(file).digest() for file in files)).hexdigest()


def _jpeg(frame: Frame) -> bytes:
    stream = BytesIO()
    Image.fromarray(frame).save(stream, "JPEG", quality=_JPEG_QUALITY)
    return stream.getvalue()
