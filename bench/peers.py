"""Others beside ours: the same pictures, timed in turns in one run, losses included.

A peer takes part only where its package is installed; nothing here installs or downloads. Metrics of
others (``peer_metrics``) have an accuracy and a latency, untrained backbones (``peer_networks``) a latency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import numpy as np

from crossiqa_edge.bench import peer_metrics, peer_networks
from crossiqa_edge.bench.facts import versions
from crossiqa_edge.bench.peer_metrics import Metric
from crossiqa_edge.bench.probe import Judged, input_files
from crossiqa_edge.bench.tables import Cells
from crossiqa_edge.bench.timing import Timing, compare, interleave
from crossiqa_edge.errors import ConfigError, CrossIQAError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.training.metrics import agreement

_HEADER: Cells = (
    *("metric or network", "what runs it", "file MB", "ms a picture", "p99", "times ours"),
    *("SRCC", "PLCC", "KRCC"),
)
_INPUTS = 16
_NONE = "–"


@dataclass(frozen=True)
class Running:
    """A peer that is ready to be called.

    Attributes:
        metric: judges a frame.
        how: what runs it, in words.
        size: of its model file in bytes; None where it has none.
        judges: whether its figures mean anything.
    """

    metric: Metric
    how: str
    size: int | None = None
    judges: bool = True


@dataclass(frozen=True)
class Peer:
    """Somebody else's metric or network.

    Attributes:
        name: what the field calls it.
        package: name on the package index.
        module: what it is imported as.
        build: loads it; the text is what runs it.
        install: how to come by it.
    """

    name: str
    package: str
    module: str
    build: Callable[[str], Running]
    install: str


def metric(name: str, package: str, module: str, build: Callable[[], Metric], install: str = "") -> Peer:
    """A peer with an accuracy; ``install`` is what pip installs, by default the package."""

    def run(how: str) -> Running:
        return Running(build(), how)

    return Peer(name, package, module, run, f"pip install {install or package}")


def network(library: str, name: str, build: Callable[[str], bytes]) -> Peer:
    """An untrained backbone ``name`` of ``library``; ``build`` gives its ONNX graph."""

    def run(how: str) -> Running:
        graph = build(name)
        return Running(
            peer_networks.running(graph), f"onnxruntime cpu fp32, untrained, {how}", len(graph), judges=False
        )

    return Peer(name, library, library, run, "pip install 'crossiqa-edge[train]'")


METRICS = (
    metric("BRISQUE", "brisque", "brisque", peer_metrics.brisque),
    # Without its dependencies, of which NIQE needs these two and whatever our own extras bring.
    metric(
        *("NIQE", "basicsr", "basicsr", peer_metrics.niqe),
        install="--no-deps basicsr opencv-python-headless requests",
    ),
    metric("PIQE", "pypiqe", "pypiqe", peer_metrics.piqe),
)
NETWORKS = (
    network("timm", "vit_tiny_patch16_224", peer_networks.timm_network),
    network("timm", "efficientnet_lite0", peer_networks.timm_network),
    network("timm", "mobilenetv3_small_100", peer_networks.timm_network),
    network("torchvision", "mobilenet_v2", peer_networks.torchvision_network),
    network("torchvision", "shufflenet_v2_x1_0", peer_networks.torchvision_network),
)


def pyiqa(name: str) -> Peer:
    """The metric ``name`` of pyiqa, as a peer."""
    return metric(f"{name} (pyiqa)", "pyiqa", "pyiqa", partial(peer_metrics.pyiqa_network, name))


def opened(peers: Iterable[Peer]) -> tuple[dict[str, Running], list[str]]:
    """The peers that run here by name, and for each of the others why it does not.

    Raises:
        ConfigError: a peer that does not exist was asked for.
    """
    ready: dict[str, Running] = {}
    absent: list[str] = []
    for peer in peers:
        if find_spec(peer.module) is None:
            absent.append(f"{peer.name}: not installed; {peer.install}")
            continue
        how = " ".join([peer.package, versions([peer.package]).get(peer.package, "")]).strip()
        try:
            ready[peer.name] = peer.build(how)
        except ConfigError:
            raise
        except Exception as error:  # somebody else's code on today's libraries raises what it likes
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            absent.append(f"{peer.name}: {how} does not load ({reason})")
    return ready, absent


def measure_peers(scorer: Scorer, judged: Judged, seconds: float, peers: dict[str, Running]) -> list[Cells]:
    """Header, our line, and a line for each of ``peers``; all decode the same files in turns.

    Args:
        scorer: our model.
        judged: pictures with opinions; some of them are also the timed input.
        seconds: of timing for each.

    Raises:
        CrossIQAError: a peer gave a figure that is not finite.
    """
    ours = scorer.card.identity
    us = Running(lambda frame: scorer.score(frame).value, scorer.backend.describe, scorer.artefact.size)
    all_of_them = {ours: us, **peers}
    files = input_files(judged, _INPUTS)
    timings = interleave(
        {name: _cycle(peer.metric, files) for name, peer in all_of_them.items()}, seconds=seconds, rounds=10
    )
    return [
        _HEADER,
        *(_line(name, peer, timings[name], timings[ours], judged) for name, peer in all_of_them.items()),
    ]


def _cycle(metric: Metric, files: Sequence[bytes]) -> Callable[[], object]:
    """Decode and judge the next file at each call."""
    turn = iter(range(1 << 62))
    return lambda: metric(decode(files[next(turn) % len(files)]))


def _line(name: str, peer: Running, timing: Timing, ours: Timing, judged: Judged) -> Cells:
    return (
        name,
        peer.how,
        _NONE if peer.size is None else f"{peer.size / 1e6:.2f}",
        f"{timing.median:.2f}",
        f"{timing.percentile(99):.2f}",
        f"{compare(timing, ours).ratio:.2f}",
        *(_agreement(name, peer.metric, judged) if peer.judges else (_NONE,) * 3),
    )


def _agreement(name: str, metric: Metric, judged: Judged) -> Cells:
    values = np.array([metric(frame) for frame in judged.frames])
    if not np.isfinite(values).all():
        raise CrossIQAError(f"{name}: gave a figure that is not finite on {judged.name}")
    found = agreement(values, judged.opinions)
    return tuple(f"{value:.4f}" for value in (found.srcc, found.plcc, found.krcc))
