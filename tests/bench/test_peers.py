import numpy as np
import pytest

from crossiqa_edge.bench.peers import PEERS, Peer, installed, measure_peers
from crossiqa_edge.bench.point import Point
from crossiqa_edge.bench.probe import Judged
from crossiqa_edge.errors import CrossIQAError


@pytest.fixture
def judged():
    levels = np.linspace(20, 230, 9)
    return Judged("flat", tuple(np.full((64, 64, 3), level, np.uint8) for level in levels), levels / 255)


@pytest.fixture
def scorer(tiny_onnx):
    return Point(str(tiny_onnx), "onnxruntime").open()


def test_a_peer_stands_beside_ours(scorer, judged):
    against = Peer("Darkness", "numpy", "numpy", lambda: lambda frame: -float(frame.mean()))
    header, ours, peer = measure_peers(scorer, judged, 0.02, [against])
    assert len(header) == len(ours) == len(peer)
    assert ours[5] == "1.0000"
    assert peer[0] == "Darkness"
    assert peer[5] == "-1.0000"  # losses of theirs and of ours are told alike
    assert ours[4] == "1.00"


def test_figures_that_are_none_are_no_result(scorer, judged):
    broken = Peer("Broken", "numpy", "numpy", lambda: lambda frame: float("nan"))
    with pytest.raises(CrossIQAError, match="not finite"):
        measure_peers(scorer, judged, 0.01, [broken])


def test_only_what_is_installed_takes_part():
    absent = Peer("Absent", "absent", "no_such_module_here", lambda: lambda frame: 0.0)
    assert absent not in installed([absent])
    assert {peer.name for peer in installed(PEERS)} <= {"BRISQUE", "PIQE"}
