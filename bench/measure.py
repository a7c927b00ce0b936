"""Measuring points of the latency/accuracy curve, all in one interleaved run."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from math import ceil
from time import perf_counter
from typing import Any

import numpy as np

from crossiqa_edge.bench.calibration import calibration_loop
from crossiqa_edge.bench.child import cold_start
from crossiqa_edge.bench.device import host_to_device_ms
from crossiqa_edge.bench.energy import Counter, find_counter, metered
from crossiqa_edge.bench.facts import facts, weather
from crossiqa_edge.bench.jsonl import Row
from crossiqa_edge.bench.point import Point
from crossiqa_edge.bench.probe import Judged, digest, input_files
from crossiqa_edge.bench.rows import FORMAT
from crossiqa_edge.bench.timing import Timing, interleave, not_told_apart
from crossiqa_edge.errors import BackendError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import sample
from crossiqa_edge.runtime.backend import Scores
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.training.metrics import agreement, json_number

CALIBRATION = "calibration loop"
STAGES = ("decode", "sample", "infer")  # that a score tells of itself
_INPUTS = 16
_ENERGY_SECONDS = 1.0
_POOLS = 100  # one takes microseconds
# OpenVINO's backend takes large batches apart into at most 32 views, and compiles for what is left over once
# it has met 64 views of it: a tenth of a second and more, once, which is no call's latency.
_LARGEST, _MET = 32, 64


@dataclass
class Call:
    """Scores the next ``batch`` files with an open model, as a user's program does, and keeps its stages.

    One picture goes through ``Scorer.score``, several through ``Scorer.score_many``, whose decoding
    threads run beside the network: there the stages add up to more than the latency.
    """

    scorer: Scorer
    batch: int
    files: Sequence[bytes]
    stages: list[dict[str, float]] = field(default_factory=list)
    _next: int = 0

    def __call__(self) -> None:
        taken = [self.files[(self._next + i) % len(self.files)] for i in range(self.batch)]
        self._next += self.batch
        scores = (
            [self.scorer.score(taken[0])]
            if self.batch == 1
            else list(self.scorer.score_many(taken, self.batch))
        )
        for score in scores:
            if isinstance(score, Exception):
                raise score
            self.stages.append(dict(score.timings))

    def settle(self) -> None:
        """Call until a backend that gets ready for a number of views has met this one often enough."""
        left_over = self.batch * self.scorer.views % _LARGEST or _LARGEST
        for _ in range(ceil(_MET / left_over)):
            self()
        self.stages.clear()

    def stage_means(self) -> dict[str, float]:
        """Milliseconds a picture by stage."""
        return {name: float(np.mean([stage[name] for stage in self.stages])) for name in STAGES}


def measure(
    opened: Mapping[Point, Scorer],
    judged: Judged,
    *,
    seconds: float,
    rounds: int = 20,
    cold: bool = True,
    on_step: Callable[[str], object] = lambda _: None,
) -> list[Row]:
    """Rows for all points, timed in turns with one another and with the calibration loop.

    Args:
        opened: the open models by point.
        judged: pictures with opinions; some of them are also the timed input.
        seconds: of timing for each point.
        rounds: turns each point gets.
        cold: also start each point in a fresh process, for its cold start and its memory.
        on_step: told what is done next, in words.
    """
    files = input_files(judged, _INPUTS)
    run = {
        "format": FORMAT,
        "run": secrets.token_hex(6),
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "input": {"pictures": len(files), "sha256": digest(files), "set": judged.name},
        **facts(),
    }
    on_step("timing in turns")
    calls = {str(point): Call(scorer, point.batch, files) for point, scorer in opened.items()}
    for call in calls.values():
        call.settle()
    before = weather()
    timings = interleave({CALIBRATION: calibration_loop(), **calls}, seconds=seconds, rounds=rounds)
    run["weather"] = {"before": before, "after": weather()}
    run["not_told_apart"] = not_told_apart(
        {name: timings[name] for name in calls}, {name: call.batch for name, call in calls.items()}
    )
    devices = {scorer.backend.device for scorer in opened.values()}
    counters = {device: find_counter(device) for device in devices}
    accuracies: dict[tuple[str, str, str, int], dict[str, Any]] = {}
    rows = []
    for point, scorer in opened.items():
        on_step(f"accuracy, energy and cold start of {point}")
        kind = (point.model, point.backend, point.sampling, point.views)
        if kind not in accuracies:
            accuracies[kind] = accuracy(scorer, judged)
        call, counter = calls[str(point)], counters[scorer.backend.device]
        rows.append(
            {
                **run,
                **described(point, scorer),
                **latency(timings[str(point)], point.batch),
                "stages_ms": stages(call),
                "calibration_ms": round(timings[CALIBRATION].median, 4),
                "accuracy": accuracies[kind],
                "energy_mj_per_picture": energy(counter, call),
                "energy_counter": None if counter is None else counter.name,
                "cold": _cold(point, files[0], scorer.backend.device, on_step) if cold else None,
            }
        )
    return rows


def _cold(point: Point, picture: bytes, device: str, tell: Callable[[str], object]) -> dict[str, Any] | None:
    """A cold start, or None where it fails: a second process may find no memory, and the rest is measured."""
    try:
        return cold_start(point, picture, device)
    except BackendError as error:
        tell(str(error))
        return None


def stages(call: Call) -> dict[str, float | None]:
    """Milliseconds a picture by stage; ``host_to_device`` is a part of ``infer``, None on a CPU."""
    scorer, batch = call.scorer, call.batch
    frame = decode(call.files[0])
    views = sample(frame, scorer.sampling, size=scorer.card.view_size, views=scorer.views)
    copied = host_to_device_ms(scorer.backend, np.concatenate([views] * batch))
    return {
        **{name: round(value, 4) for name, value in call.stage_means().items()},
        "host_to_device": None if copied is None else round(copied / batch, 4),
        "pool": round(_pool_ms(scorer, scorer.backend.infer(views)), 4),
    }


def _pool_ms(scorer: Scorer, raw: Scores) -> float:
    start = perf_counter()
    for _ in range(_POOLS):
        scorer.pool(raw, {})
    return 1e3 * (perf_counter() - start) / _POOLS


def described(point: Point, scorer: Scorer) -> Row:
    """What was measured."""
    return {
        **asdict(point),
        "model": scorer.card.name,
        "artefact": str(scorer.artefact.path.name),
        "identity": scorer.card.identity,
        "precision": scorer.backend.precision,
        "backend": scorer.backend.name,
        "device": scorer.backend.device,
        "bytes": scorer.artefact.size,
        "view_size": scorer.card.view_size,
    }


def latency(timing: Timing, batch: int) -> Row:
    """Percentiles of a call (which holds ``batch`` pictures), their intervals, and pictures a second."""
    names = {"p50": 50, "p90": 90, "p99": 99, "max": 100}
    low, high = timing.interval()
    return {
        "calls": len(timing.calls),
        "latency_ms": {name: round(timing.percentile(q), 4) for name, q in names.items()},
        "p50_interval_ms": [round(low, 4), round(high, 4)],
        "pictures_per_s": round(1e3 * batch / timing.median, 2),
    }


def accuracy(scorer: Scorer, judged: Judged, batch: int = 8) -> dict[str, Any]:
    """Agreement of the scores with the opinions, and what set it was measured on."""
    scores = []
    for start in range(0, len(judged.frames), batch):
        for score in scorer.score_many(judged.frames[start : start + batch], batch):
            if isinstance(score, Exception):
                raise score
            scores.append(score.value)
    found = agreement(np.array(scores), judged.opinions)
    figures = {name: json_number(getattr(found, name)) for name in ("srcc", "plcc", "krcc")}
    return {"set": judged.name, "n": len(scores), **figures}


def energy(counter: Counter | None, call: Call) -> float | None:
    """Millijoules a picture of everything the counter sees, idle power included; None without one."""
    if counter is None:
        return None
    pictures = 0
    with metered(counter) as spent:
        end = perf_counter() + _ENERGY_SECONDS
        while perf_counter() < end:
            call()
            pictures += call.batch
    return None if spent.joules is None else round(1e3 * spent.joules / pictures, 3)
