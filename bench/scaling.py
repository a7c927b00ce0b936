"""How the cost of a score grows: with resolution, tokens, batch, views and threads, beside the expected law.

A law is a sum of terms with coefficients that cannot be negative, fitted to the measured medians by relative
error: what it fails to explain is told as its largest deviation, not hidden in a plot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from crossiqa_edge.bench.point import Point
from crossiqa_edge.bench.probe import PICTURES
from crossiqa_edge.bench.timing import interleave
from crossiqa_edge.errors import ArtefactError, BackendError, MissingDependencyError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.machine import this_machine
from crossiqa_edge.runtime.scorer import Scorer

try:
    from scipy.optimize import nnls
except ImportError as error:
    raise MissingDependencyError("fitting the laws of scaling", "bench") from error

RESOLUTIONS = {
    "360p": (360, 640),
    "720p": (720, 1280),
    "1080p": (1080, 1920),
    "2160p": (2160, 3840),
    "4320p": (4320, 7680),
}
VIEW_SIZES = (112, 224, 336, 512)
BATCHES = (1, 2, 4, 8, 16, 32)
VIEWS = (1, 2, 5, 10)
PATCH = 16

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Law:
    """What theory says: milliseconds as a sum of ``terms`` of x, coefficients >= 0.

    Attributes:
        words: the law as a person says it.
        terms: functions of x.
    """

    words: str
    terms: tuple[Callable[[Floats], Floats], ...]

    def fit(self, x: Floats, y: Floats) -> Floats:
        """Coefficients by least squares of the relative error."""
        design = np.stack([term(x) for term in self.terms], axis=1) / y[:, None]
        coefficients: Floats = nnls(design, np.ones_like(y))[0]
        return coefficients

    def at(self, coefficients: Floats, x: Floats) -> Floats:
        """Milliseconds that the law gives."""
        values: Floats = sum((c * term(x) for c, term in zip(coefficients, self.terms, strict=True)), 0.0 * x)
        return values


def _one(x: Floats) -> Floats:
    return np.ones_like(x)


def _linear(x: Floats) -> Floats:
    return x


def _square(x: Floats) -> Floats:
    return x**2


def _inverse(x: Floats) -> Floats:
    return 1.0 / x


CONSTANT = Law("does not grow", (_one,))
AFFINE = Law("a fixed part and one a piece", (_one, _linear))
TOKENS = Law("linear maps grow with the tokens, attention with their square", (_one, _linear, _square))
AMDAHL = Law("a part that threads cannot share, and a part that they can (Amdahl)", (_one, _inverse))


@dataclass(frozen=True)
class Curve:
    """One measured curve.

    Attributes:
        name: what varies; ``unit`` what x counts.
        x: values of it; ``labels`` how people call them.
        milliseconds: medians; ``intervals`` their 95 % intervals.
        law: what was expected; ``expected`` its values at x.
    """

    name: str
    unit: str
    x: Floats
    labels: tuple[str, ...]
    milliseconds: Floats
    intervals: tuple[tuple[float, float], ...]
    law: Law
    coefficients: Floats

    @property
    def expected(self) -> Floats:
        """The fitted law at ``x``, in milliseconds."""
        return self.law.at(self.coefficients, self.x)

    @property
    def deviation(self) -> float:
        """Largest relative distance of a measured median from the law."""
        return float(np.max(np.abs(self.milliseconds / self.expected - 1.0)))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready figures."""
        return {
            "name": self.name,
            "unit": self.unit,
            "law": self.law.words,
            "coefficients": [float(f"{value:.4g}") for value in self.coefficients],
            "largest_deviation": round(self.deviation, 4),
            "points": [
                {"x": float(x), "label": label, "p50_ms": round(float(ms), 4), "interval_ms": list(interval)}
                for x, label, ms, interval in zip(
                    self.x, self.labels, self.milliseconds, self.intervals, strict=True
                )
            ],
        }


def measure_curve(
    name: str,
    unit: str,
    calls: Mapping[str, tuple[float, Callable[[], object]]],
    law: Law,
    seconds: float,
) -> Curve:
    """Time ``calls``, label -> (x, call), in turns, and fit ``law``."""
    timings = interleave({label: call for label, (_, call) in calls.items()}, seconds=seconds, rounds=10)
    x = np.array([place for place, _ in calls.values()])
    y = np.array([timings[label].median for label in calls])
    intervals = tuple(timings[label].interval() for label in calls)
    return Curve(name, unit, x, tuple(calls), y, intervals, law, law.fit(x, y))


def curves(
    model: str, backend: str, seconds: float, tell: Callable[[str], object] = lambda words: None
) -> list[Curve]:
    """The curves of ``model`` on ``backend``.

    That over tokens is of models written for it, as ONNX: where the ``export`` extra is absent, or the
    backend runs no ONNX, ``tell`` is told so, and the others stand without it.
    """
    scorer = Point(model, backend).open()
    photo = decode(PICTURES / "coffee.webp")
    measured = [
        measure_curve("resolution", "megapixels", _resolutions(scorer, photo), CONSTANT, seconds),
        measure_curve("batch", "views an inference", _batches(scorer, photo), AFFINE, seconds),
        measure_curve("views", "windows a picture", _views(model, backend, photo), AFFINE, seconds),
        measure_curve("threads", "threads", _threads(model, backend, photo), AMDAHL, seconds),
    ]
    with TemporaryDirectory() as folder:
        try:
            by_tokens = _tokens(scorer.card.size, backend, Path(folder))
        except (ArtefactError, BackendError, ImportError, MissingDependencyError) as error:
            tell(f"left out: cost against tokens: {error}")
            return measured
        return [*measured, measure_curve("tokens", "tokens a view", by_tokens, TOKENS, seconds)]


Calls = dict[str, tuple[float, Callable[[], object]]]


def _resolutions(scorer: Scorer, photo: Frame) -> Calls:
    """Sampling and inference of frames in memory; decoding is not part of it."""
    return {
        label: (height * width / 1e6, _scoring(scorer, tiled(photo, height, width)))
        for label, (height, width) in RESOLUTIONS.items()
    }


def _batches(scorer: Scorer, photo: Frame) -> Calls:
    view = tiled(photo, scorer.card.view_size, scorer.card.view_size)
    return {str(n): (n, _inferring(scorer, np.stack([view] * n))) for n in BATCHES}


def _views(model: str, backend: str, photo: Frame) -> Calls:
    frame = tiled(photo, 1080, 1920)
    points = {n: Point(model, backend, sampling="crops", views=n) for n in VIEWS}
    return {str(n): (n, _scoring(point.open(), frame)) for n, point in points.items()}


def _threads(model: str, backend: str, photo: Frame) -> Calls:
    counts = range(1, this_machine().cores + 1)
    scorers = {n: Point(model, backend, threads=n).open() for n in counts}
    size = scorers[1].card.view_size
    views = np.stack([tiled(photo, size, size)] * 8)
    return {str(n): (n, _inferring(scorer, views)) for n, scorer in scorers.items()}


def _tokens(size: str, backend: str, folder: Path) -> Calls:
    """Untrained models of other view sizes: what they say means nothing, but they cost what it would."""
    calls: Calls = {}
    for side in VIEW_SIZES:
        path = folder / f"{side}.onnx"
        write_untrained(size, side, path)
        scorer = Point(str(path), backend, sampling="crops").open()
        views = np.zeros((1, side, side, 3), np.uint8)
        tokens = (side // PATCH) ** 2 + 1
        calls[str(tokens)] = (tokens, _inferring(scorer, views))
    return calls


def write_untrained(size: str, view_size: int, path: Path) -> None:
    """An untrained model of another view size as ONNX, for its cost alone."""
    import torch

    from crossiqa_edge.card import ModelCard
    from crossiqa_edge.export.onnx import export_onnx
    from crossiqa_edge.model.quality import QualityModel

    torch.manual_seed(0)
    card = ModelCard(name=f"untrained {size}", size=size, view_size=view_size, sampling="crops")
    export_onnx(QualityModel(card).eval(), card, path)


def tiled(photo: Frame, height: int, width: int) -> Frame:
    """``photo`` repeated to fill (``height``, ``width``, 3): real texture at any size."""
    rows, columns = -(-height // photo.shape[0]), -(-width // photo.shape[1])
    return np.ascontiguousarray(np.tile(photo, (rows, columns, 1))[:height, :width])


def _scoring(scorer: Scorer, frame: Frame) -> Callable[[], object]:
    return lambda: scorer.score(frame)


def _inferring(scorer: Scorer, views: Frame) -> Callable[[], object]:
    return lambda: scorer.backend.infer(views)


def to_markdown(measured: Sequence[Curve]) -> str:
    """A table of all curves."""
    lines = ["| what grows | measured, ms | expected law | largest deviation |", "|---|---|---|---:|"]
    for curve in measured:
        points = ", ".join(f"{a}: {ms:.2f}" for a, ms in zip(curve.labels, curve.milliseconds, strict=True))
        lines.append(f"| {curve.name}, {curve.unit} | {points} | {curve.law.words} | {curve.deviation:.0%} |")
    return "\n".join(lines) + "\n"
