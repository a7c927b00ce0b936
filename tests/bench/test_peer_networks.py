"""Backbones as graphs: the right arithmetic around them, and names that exist."""

import numpy as np
import pytest

from crossiqa_edge.bench import peer_networks
from crossiqa_edge.bench.peers import NETWORKS, opened

torch = pytest.importorskip("torch")


def test_views_come_in_as_uint8_and_are_normalised_in_the_graph():
    class Corner(torch.nn.Module):
        def forward(self, pictures):
            return pictures[:, 1:2, 0, 0]  # green

    infer = peer_networks.running(peer_networks.onnx_of(Corner()))
    frame = np.full((300, 300, 3), (204, 102, 51), np.uint8)
    assert infer(frame) == pytest.approx((102 / 255 - 0.456) / 0.224, rel=1e-5)


def test_all_names_exist():
    timm, models = pytest.importorskip("timm"), pytest.importorskip("torchvision").models
    known = {"timm": timm.list_models(), "torchvision": models.list_models()}
    for peer in NETWORKS:
        assert peer.name in known[peer.module]


def test_a_real_backbone_runs():
    pytest.importorskip("timm")
    (small,) = (peer for peer in NETWORKS if peer.name == "mobilenetv3_small_100")
    ready, absent = opened([small])
    assert absent == []
    backbone = ready[small.name]
    assert backbone.judges is False
    assert 4e6 < backbone.size < 8e6  # 1.5 million parameters
    assert np.isfinite(backbone.metric(np.full((224, 224, 3), 128, np.uint8)))
