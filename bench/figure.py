"""The bench's pictures: latency against accuracy with the front of the best, and the curves of scaling."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np

from crossiqa_edge.bench.jsonl import Row
from crossiqa_edge.bench.pareto import front, per_picture_ms, srcc_of
from crossiqa_edge.bench.point import in_threads, in_views
from crossiqa_edge.bench.scaling import Curve
from crossiqa_edge.errors import MissingDependencyError

try:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingDependencyError("drawing the trade-off", "bench") from error

_SIZE = (8.0, 5.0)  # inches
_DPI = 150
_BUBBLE_PER_MB = 40.0  # area in square points
_LEAST_SRCC = 0.02  # above and below: a difference that the probe cannot tell should not fill the plot
_COLOURS = ("#1f77b4", "#d95f02", "#2ca02c", "#9467bd", "#8c564b", "#17becf")


def tradeoff_png(rows: Sequence[Row]) -> bytes:
    """PNG of the Pareto plot: x milliseconds a picture (log), y SRCC, bubble area the size of the file."""
    figure, axes = pyplot.subplots(figsize=_SIZE, layout="constrained")
    colours = _colours(rows)
    for row in rows:
        axes.scatter(
            per_picture_ms(row),
            srcc_of(row),
            s=_BUBBLE_PER_MB * row["bytes"] / 1e6,
            color=colours[row["backend"]],
            alpha=0.6,
            edgecolor="black",
            linewidth=0.5,
        )
    best = front(rows)
    axes.step([*map(per_picture_ms, best)], [*map(srcc_of, best)], where="post", color="black", lw=1, ls=":")
    _label(axes, best)
    for backend, colour in colours.items():
        axes.scatter([], [], color=colour, label=backend)
    axes.legend(loc="best", title="backend", frameon=False)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.margins(x=0.15)
    accuracies = [srcc_of(row) for row in rows]
    axes.set_ylim(min(accuracies) - _LEAST_SRCC, max(accuracies) + _LEAST_SRCC)
    axes.grid(alpha=0.25, which="both")
    axes.set_xlabel("milliseconds a picture, median, decoding included (log)")
    axes.set_ylabel(f"SRCC on {rows[0]['accuracy']['set']}")
    axes.set_title("Latency against accuracy: bubbles by file size, dotted the Pareto front", fontsize=10)
    return png(figure)


def png(figure: Figure) -> bytes:
    """The figure as a PNG file; the figure is closed."""
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI)
    pyplot.close(figure)
    return stream.getvalue()


def _colours(rows: Sequence[Row]) -> dict[str, str]:
    backends = sorted({row["backend"] for row in rows})
    return {backend: _COLOURS[i % len(_COLOURS)] for i, backend in enumerate(backends)}


def _label(axes: Axes, best: Sequence[Row]) -> None:
    for i, row in enumerate(best):
        read = in_views(row["sampling"], row["views"]) + in_threads(row.get("threads"))
        axes.annotate(
            f"{row['model']} {row['precision']}, batch {row['batch']}, {read}",
            (per_picture_ms(row), srcc_of(row)),
            xytext=(6, 8 if i % 2 == 0 else -14),
            textcoords="offset points",
            fontsize=8,
        )


def scaling_png(curves: Sequence[Curve]) -> bytes:
    """PNG with a plot for each curve: medians with their intervals, and the fitted law."""
    figure, grid = pyplot.subplots(
        1, len(curves), figsize=(3.4 * len(curves), 3.4), layout="constrained", squeeze=False
    )
    for curve, axes in zip(curves, grid[0], strict=True):
        fine = np.geomspace(curve.x.min(), curve.x.max(), 100)
        spread = np.abs(np.array(curve.intervals).T - curve.milliseconds)
        axes.plot(fine, curve.law.at(curve.coefficients, fine), color="black", lw=1, ls=":", label="law")
        axes.errorbar(curve.x, curve.milliseconds, yerr=spread, fmt="o", color=_COLOURS[0], label="measured")
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25, which="both")
        axes.set_xlabel(curve.unit)
        axes.set_title(f"{curve.name}: {curve.deviation:.0%} off the law at most", fontsize=9)
    grid[0][0].set_ylabel("milliseconds, median")
    grid[0][0].legend(frameon=False)
    return png(figure)
