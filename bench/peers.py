"""Classical no-reference metrics beside ours: the same pictures, timed in turns in one run.

A peer takes part only where its package is installed; nothing here installs or downloads. Peers give
worse pictures higher figures, so their sign is turned: SRCC compares like with like.

BRISQUE is Mittal, Moorthy and Bovik (IEEE TIP 2012) in the ``brisque`` package, which ships a model trained
on LIVE; PIQE is Venkatanath et al. (NCC 2015) in ``pypiqe``. NIQE has no kept package that runs with today's
NumPy and SciPy without downloads; it is left out rather than written anew by a competitor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from crossiqa_edge.bench.facts import versions
from crossiqa_edge.bench.probe import Judged, input_files
from crossiqa_edge.bench.tables import Cells
from crossiqa_edge.bench.timing import Timing, compare, interleave
from crossiqa_edge.errors import CrossIQAError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.training.metrics import agreement

Metric = Callable[[Frame], float]  # uint8 (H, W, 3) RGB -> a figure, higher is better

_HEADER: Cells = ("metric", "what runs it", "ms a picture", "p99", "times ours", "SRCC", "PLCC", "KRCC")
_INPUTS = 16


@dataclass(frozen=True)
class Peer:
    """A metric of another package.

    Attributes:
        name: what the field calls it.
        package: name on the package index.
        module: what it is imported as.
        build: loads the metric.
    """

    name: str
    package: str
    module: str
    build: Callable[[], Metric]


def _brisque() -> Metric:
    from brisque import BRISQUE

    model = BRISQUE(url=False)
    scale = model.scale_features
    # Its features are arrays of one element each, which today's NumPy no longer takes for numbers.
    model.scale_features = lambda features: scale([np.ravel(feature)[0] for feature in features])
    return lambda frame: -float(model.score(frame))


def _piqe() -> Metric:
    from pypiqe import piqe

    return lambda frame: -float(piqe(frame)[0])


PEERS = (Peer("BRISQUE", "brisque", "brisque", _brisque), Peer("PIQE", "pypiqe", "pypiqe", _piqe))


def installed(peers: Sequence[Peer] = PEERS) -> list[Peer]:
    """The peers whose package is here."""
    return [peer for peer in peers if find_spec(peer.module) is not None]


def measure_peers(scorer: Scorer, judged: Judged, seconds: float, peers: Sequence[Peer]) -> list[Cells]:
    """Header, our line, and a line for each of ``peers``; all decode the same files in turns.

    Args:
        scorer: our model.
        judged: pictures with opinions; some of them are also the timed input.
        seconds: of timing for each metric.
    """
    metrics: dict[str, Metric] = {
        scorer.card.identity: lambda frame: scorer.score(frame).value,
        **{peer.name: peer.build() for peer in peers},
    }
    files = input_files(judged, _INPUTS)
    timings = interleave(
        {name: _cycle(metric, files) for name, metric in metrics.items()}, seconds=seconds, rounds=10
    )
    found = versions(peer.package for peer in peers)
    backing = [scorer.backend.describe, *(f"{peer.package} {found[peer.package]}" for peer in peers)]
    ours = timings[scorer.card.identity]
    lines = [
        _line(name, what, timings[name], ours, _scores(metric, judged), judged)
        for (name, metric), what in zip(metrics.items(), backing, strict=True)
    ]
    return [_HEADER, *lines]


def _cycle(metric: Metric, files: Sequence[bytes]) -> Callable[[], object]:
    """Decode and judge the next file at each call."""
    turn = iter(range(1 << 62))
    return lambda: metric(decode(files[next(turn) % len(files)]))


def _scores(metric: Metric, judged: Judged) -> list[float]:
    return [metric(frame) for frame in judged.frames]


def _line(name: str, what: str, timing: Timing, ours: Timing, scores: list[float], judged: Judged) -> Cells:
    values = np.array(scores)
    if not np.isfinite(values).all():
        raise CrossIQAError(f"{name}: gave a figure that is not finite on {judged.name}")
    found = agreement(values, judged.opinions)
    return (
        name,
        what,
        f"{timing.median:.2f}",
        f"{timing.percentile(99):.2f}",
        f"{compare(timing, ours).ratio:.2f}",
        *(f"{value:.4f}" for value in (found.srcc, found.plcc, found.krcc)),
    )
