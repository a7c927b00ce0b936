"""How far the activations of a layer reach: histograms over calibration views, and three ways to read them.

An int8 scale is a threshold divided by 127; what lies beyond is clipped. Percentile clips a fixed share;
MSE takes the threshold of least mean squared error of clipping and rounding together; entropy that of least
Kullback-Leibler divergence between the values before and after (Migacz, 8-bit Inference with TensorRT,
GTC 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.export.surgery import with_outputs
from crossiqa_edge.imaging.sampling import Views
from crossiqa_edge.runtime.backend import Scores

Counts = npt.NDArray[np.float64]  # (BINS,)
Collected = dict[str, npt.NDArray[np.float32]]

BINS = 2048
PERCENTILE = 99.99
STEPS = 127  # of an int8 value's magnitude
_BATCH = 8
_REMEDY = "export it again from sound weights"


def thresholds(model: onnx.ModelProto, names: Iterable[str], views: Views, method: str) -> dict[str, float]:
    """The largest magnitude that int8 should still reach, for each activation in ``names``.

    Args:
        model: a float32 graph.
        names: of float values computed in it.
        views: uint8 (N, S, S, 3) to run it on.
        method: a key of ``METHODS``.

    Raises:
        ArtefactError: the graph does not run, or one of the values is not finite.
    """
    names = sorted(set(names))
    largest = {name: float(values.max()) for name, values in channel_maxima(model, names, views).items()}
    counts = {name: np.zeros(BINS) for name in names}
    for collected in _runs(model, names, views):
        for name, values in collected.items():
            scaled = np.abs(values).ravel() * np.float32((BINS - 1e-3) / max(largest[name], 1e-12))
            counts[name] += np.bincount(scaled.astype(np.int32), minlength=BINS)[:BINS]
    return {name: largest[name] * METHODS[method](counts[name]) / BINS for name in names}


def channel_maxima(model: onnx.ModelProto, names: Iterable[str], views: Views) -> Collected:
    """The largest magnitude in each channel (last axis) of each activation in ``names``."""
    found: Collected = {}
    for collected in _runs(model, sorted(set(names)), views):
        for name, values in collected.items():
            magnitude = np.abs(values).reshape(-1, values.shape[-1]).max(axis=0)
            found[name] = np.maximum(found[name], magnitude) if name in found else magnitude
    return found


def scores(model: onnx.ModelProto, views: Views) -> Scores:
    """What a graph of ours gives for ``views``, by onnxruntime: float32 (N,)."""
    return np.concatenate([collected["score"] for collected in _runs(model, ["score"], views)])


def rows_a_view(model: onnx.ModelProto, names: Iterable[str], views: Views) -> dict[str, int]:
    """How many rows (all axes but the last) of each activation in ``names`` one view has."""
    collected = next(_runs(model, sorted(set(names)), views[:1]))
    return {name: values.size // values.shape[-1] for name, values in collected.items()}


def percentile(counts: Counts) -> int:
    """Bins that hold ``PERCENTILE`` per cent of the values."""
    share = np.cumsum(counts) / counts.sum()
    return int(np.searchsorted(share, PERCENTILE / 100)) + 1


def mse(counts: Counts) -> int:
    """Bins within which rounding to ``STEPS`` steps, and clipping beyond, cost least squared error."""
    centres = np.arange(BINS) + 0.5

    def cost(bins: int) -> float:
        step = bins / STEPS
        rounded = np.minimum(np.rint(centres / step), STEPS) * step
        return float(counts @ (centres - rounded) ** 2)

    return min(_candidates(), key=cost)


def entropy(counts: Counts) -> int:
    """Bins within which ``STEPS + 1`` levels keep most of what the histogram tells."""

    def divergence(bins: int) -> float:
        kept = counts[:bins].copy()
        kept[-1] += counts[bins:].sum()  # clipped values
        level = np.arange(bins) * (STEPS + 1) // bins
        filled = counts[:bins] > 0
        mass = np.bincount(level, counts[:bins], minlength=STEPS + 1)
        members = np.bincount(level, filled, minlength=STEPS + 1)
        spread = np.where(filled, mass[level] / np.maximum(members[level], 1), 0)
        p, q = kept / kept.sum(), spread / max(spread.sum(), 1e-12)
        both = (p > 0) & (q > 0)
        lost = p[(p > 0) & (q == 0)].sum()  # where the levels have nothing, the divergence is bounded by hand
        return float((p[both] * np.log(p[both] / q[both])).sum() + lost * np.log(BINS))

    return min(_candidates(), key=divergence)


METHODS: dict[str, Callable[[Counts], int]] = {"percentile": percentile, "mse": mse, "entropy": entropy}


def _candidates() -> range:
    return range(STEPS + 1, BINS + 1, 16)


def _runs(model: onnx.ModelProto, names: list[str], views: Views) -> Iterator[Collected]:
    """The activations in ``names`` for each batch of ``views``.

    Raises:
        ArtefactError: onnxruntime does not run the graph, or one of them is not finite.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    data = with_outputs(model, names).SerializeToString()
    with _refused():
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    for start in range(0, len(views), _BATCH):
        with _refused():
            values = session.run(names, {"views": views[start : start + _BATCH]})
        collected = dict(zip(names, values, strict=True))
        for name, value in collected.items():
            if not np.isfinite(value).all():
                raise ArtefactError(f"the graph computes values in {name!r} that are not finite; {_REMEDY}")
        yield collected


@contextmanager
def _refused() -> Iterator[None]:
    """Inside, what onnxruntime says against a graph is a line."""
    try:
        yield
    except Exception as error:  # onnxruntime's own exceptions have no base class but this
        told = " ".join(str(error).split())[:300]
        raise ArtefactError(f"onnxruntime does not run this graph: {told}; {_REMEDY}") from error
