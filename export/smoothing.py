"""Scale migration before quantising: what one channel has too much of goes into the weights that read it.

Transformers have a few channels that are many times larger than the others, and one int8 scale for all of
them wastes the steps of the rest. Dividing a channel by s and multiplying the weights that read it by s
changes nothing in the result; s balances the two (SmoothQuant: Xiao, Lin, Seznec, Wu, Demouth and Han, ICML
2023). The division costs nothing at run time where the channel comes from a LayerNorm, or from the values
of attention; behind a GELU there is nothing linear to fold it into, and those channels stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import onnx

from crossiqa_edge.export.calibration import channel_maxima
from crossiqa_edge.export.surgery import Surgery
from crossiqa_edge.imaging.sampling import Views

STRENGTH = 0.5  # 0 leaves the activations as they are, 1 makes all channels equally large
_TINY = 1e-5

Scales = npt.NDArray[np.float32]  # (width,)


def smooth(surgery: Surgery, views: Views, strength: float = STRENGTH) -> Surgery:
    """The same function with smaller outliers in front of its linear layers, as measured on ``views``."""
    model = surgery.finished(surgery.nodes)
    smoothed = Surgery(model, surgery.where)
    junctions = list(_junctions(surgery.linears()))
    maxima = channel_maxima(model, [activation for _, activation, _ in junctions], views)
    for source, activation, readers in junctions:
        weights = np.concatenate([smoothed.value(f"{name}.weight") for name in readers], axis=1)
        scales = _balance(maxima[activation], np.abs(weights).max(axis=1), strength)
        for part in ("weight", "bias"):
            value = smoothed.value(f"{source}.{part}")
            value[..., -len(scales) :] /= scales  # of a packed projection the values come last
            smoothed.set(f"{source}.{part}", value)
        for name in readers:
            smoothed.set(f"{name}.weight", smoothed.value(f"{name}.weight") * scales[:, None])
    return smoothed


def _junctions(linears: Mapping[str, onnx.NodeProto]) -> Iterator[tuple[str, str, list[str]]]:
    """(layer whose last outputs are divided, activation between, layers that read it), block by block."""
    for proj in (name for name in linears if name.endswith(".attn.proj")):
        block = proj.removesuffix(".attn.proj")
        packed = f"{block}.attn.qkv" in linears
        parts = ["qkv"] if packed else ["q", "kv"]
        yield f"{block}.norm1", f"{block}.norm1", [f"{block}.attn.{part}" for part in parts]
        yield f"{block}.attn.{parts[-1]}", linears[proj].input[0], [proj]
        yield f"{block}.norm2", f"{block}.norm2", [f"{block}.mlp.fc1"]


def _balance(activation: Scales, weight: Scales, strength: float) -> Scales:
    """One scale a channel, with a geometric mean of 1: activations are divided by it, weights multiplied."""
    scales = np.maximum(activation, _TINY) ** strength / np.maximum(weight, _TINY) ** (1 - strength)
    balanced: Scales = (scales / np.exp(np.log(scales).mean())).astype(np.float32)
    return balanced
