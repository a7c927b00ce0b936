"""The learning curve as a picture: what more labelled pictures would buy."""

from __future__ import annotations

from io import BytesIO

import numpy as np

from crossiqa_edge.errors import MissingDependencyError
from crossiqa_edge.training.frozen import LearningCurve

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingDependencyError("drawing the learning curve", "train") from error

_SIZE = (6.4, 4.0)  # inches
_DPI = 120


def curve_png(curve: LearningCurve, data: str, start: str) -> bytes:
    """PNG: median SRCC on held-out pictures with its quartiles, and the starting model's as a line.

    Args:
        data: name of the set.
        start: name of the model that was started from.
    """
    figure = Figure(figsize=_SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    low, high = curve.quartiles
    axes.fill_between(curve.sizes, low, high, alpha=0.2, linewidth=0, label="quartiles")
    axes.plot(curve.sizes, curve.median, marker="o", label=f"new head, median of {len(curve.srcc)} splits")
    before = curve.start_median
    if np.isfinite(before):
        axes.axhline(before, color="black", linestyle=":", label=f"{start} as it was, {before:.3f}")
    axes.set_xscale("log")
    axes.set_xticks(curve.sizes, [str(size) for size in curve.sizes])
    axes.minorticks_off()
    axes.set_xlabel("labelled pictures (log)")
    axes.set_ylabel("SRCC on held-out pictures")
    axes.set_title(f"{data}: frozen encoder, new head")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI)
    return stream.getvalue()
