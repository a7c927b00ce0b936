"""Backbones of about our size, from timm and torchvision: what another network would cost, not what it knows.

They are untrained, so they have a latency and no accuracy. Each is exported to ONNX and run by onnxruntime
in float32 with the settings of our own backend, on the same views, uint8 in: what is compared is the network,
not what runs it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from crossiqa_edge.bench.peer_metrics import Metric
from crossiqa_edge.imaging.sampling import Frame, sample

if TYPE_CHECKING:
    import torch

SIDE = 224  # pixels, what they were designed for and what our models take
_OPSET = 18
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as everywhere in the field


def timm_network(name: str) -> bytes:
    """The ONNX graph of timm's ``name`` with one output and random weights."""
    import timm

    return onnx_of(timm.create_model(name, pretrained=False, num_classes=1))


def torchvision_network(name: str) -> bytes:
    """The same of torchvision's ``name``."""
    import torchvision

    return onnx_of(torchvision.models.get_model(name, weights=None, num_classes=1))


def onnx_of(network: Callable[[torch.Tensor], torch.Tensor]) -> bytes:
    """``network``, float32 (1, 3, S, S) normalised -> (1, 1), as a graph of uint8 ``views`` (1, S, S, 3)."""
    import torch

    mean = 255 * torch.tensor(_MEAN).view(3, 1, 1)
    scale = 1 / (255 * torch.tensor(_STD).view(3, 1, 1))

    class FromViews(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network  # registered where it is a module, and exported with its weights

        def forward(self, views: torch.Tensor) -> torch.Tensor:
            return self.network((views.permute(0, 3, 1, 2).float() - mean) * scale)

    views = torch.zeros(1, SIDE, SIDE, 3, dtype=torch.uint8)
    with TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracing exporter is announced as old; the new needs onnxscript
        path = Path(folder) / "network.onnx"
        torch.onnx.export(
            FromViews().eval(), (views,), path, dynamo=False, input_names=["views"], opset_version=_OPSET
        )
        return path.read_bytes()


def running(graph: bytes) -> Metric:
    """What runs ``graph`` on a frame; the figure that it gives means nothing."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as crossiqa_edge.runtime.ort
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def infer(frame: Frame) -> float:
        views = sample(frame, "fragments", size=SIDE)
        return float(np.ravel(session.run(None, {"views": views})[0])[0])

    return infer
