"""What a monitoring system asks of the server, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from crossiqa_edge.errors import MissingDependencyError
from crossiqa_edge.score import Score

try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
except ImportError as error:
    raise MissingDependencyError("serving", "serve") from error

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_PICTURES = (1, 2, 4, 8, 16, 32, 64)
_SCORES = tuple(range(10, 101, 10))


class Metrics:
    """Counters of one server, from its start on."""

    def __init__(self, inside: Callable[[], int]) -> None:
        """``inside`` tells how many requests are being served."""
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._answers = Counter(
            "crossiqa_answers", "Answers of /v1/score by HTTP status", ["status"], registry=registry
        )
        self._request = Histogram(
            "crossiqa_request_seconds",
            "From a request's header to its answer",
            registry=registry,
            buckets=_SECONDS,
        )
        self._stage = Histogram(
            "crossiqa_stage_seconds",
            "Time of a picture in each stage",
            ["stage"],
            registry=registry,
            buckets=_SECONDS,
        )
        self._batch = Histogram(
            "crossiqa_batch_pictures", "Pictures in an inference", registry=registry, buckets=_PICTURES
        )
        self._score = Histogram(
            "crossiqa_score", "Scores given, 0 to 100", registry=registry, buckets=_SCORES
        )
        Gauge("crossiqa_inside", "Requests being served", registry=registry).set_function(inside)

    def batch(self, pictures: int) -> None:
        """An inference with so many pictures begins."""
        self._batch.observe(pictures)

    def answer(self, status: int, seconds: float) -> None:
        """A request for a score was answered."""
        self._answers.labels(str(status)).inc()
        self._request.observe(seconds)

    def scored(self, score: Score) -> None:
        """A score was given."""
        self._score.observe(score.value)
        timings: Mapping[str, float] = score.timings
        for stage, milliseconds in timings.items():
            self._stage.labels(stage).observe(milliseconds / 1e3)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self._registry)
