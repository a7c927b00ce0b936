"""Rows as tables: Markdown for documents, aligned text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from crossiqa_edge.bench.comparison import Change
from crossiqa_edge.bench.jsonl import Row
from crossiqa_edge.bench.pareto import front, per_picture_ms
from crossiqa_edge.bench.point import in_threads, in_views
from crossiqa_edge.bench.rows import point_name

Cells = tuple[str, ...]

_HEADER: Cells = (
    *("model", "precision", "backend", "sampling", "batch", "ms a picture", "call p50", "p90", "p99", "max"),
    *("pictures/s", "SRCC", "first score", "peak MB", "file MB", ""),
)
_CHANGE_HEADER: Cells = ("point", "before", "after", "relative", "95 % interval", "verdict", "SRCC")


def result_cells(rows: Sequence[Row]) -> list[Cells]:
    """Header and one line a row; the last column marks the points of the Pareto front."""
    best = front(rows)
    return [_HEADER, *(_cells(row, row in best) for row in rows)]


def change_cells(changes: Sequence[Change]) -> list[Cells]:
    """Header and one line a change."""
    return [_CHANGE_HEADER, *map(_changed, changes)]


def caption(rows: Sequence[Row]) -> str:
    """One paragraph: where and on what the rows were measured."""
    row = rows[0]
    machine = row["machine"]
    libraries = ", ".join(f"{name} {version}" for name, version in row["libraries"].items())
    sets = ", ".join(dict.fromkeys(f"{item['accuracy']['set']}, {item['accuracy']['n']}" for item in rows))
    instructions = ", ".join(machine["instructions"]) or "no vector extensions known"
    return (
        f"{machine['cpu']}, {machine['cores']} cores ({instructions}), {machine['system']}; "
        f"{libraries}; crossiqa-edge {row['package']} at {row.get('commit') or 'no commit'}; {row['made']}. "
        f"Accuracy on {sets} pictures. Latency is of a whole call, from the bytes of JPEG files "
        f"({row['input']['pictures']} in turn) to scores; ms a picture is the median call over its batch. "
        f"Calibration loop {row['calibration_ms']:.2f} ms.{_noise(row)}"
    )


def _noise(row: Row) -> str:
    """Which neighbours in milliseconds a picture the run was too noisy to tell apart; nothing if none."""
    pairs = "; ".join(f"{first} and {second}" for first, second in row.get("not_told_apart", ()))
    return f" Too noisy to tell apart, a picture: {pairs}." if pairs else ""


def markdown(cells: Sequence[Cells]) -> str:
    """A Markdown table; the first line is the header."""
    header, *body = cells
    rule = tuple("---" if i == 0 else "---:" for i in range(len(header)))
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, rule, *body))


def text(cells: Sequence[Cells]) -> str:
    """Columns aligned for a terminal."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def _cells(row: Row, on_front: bool) -> Cells:
    times = row["latency_ms"]
    cold = row.get("cold") or {}
    srcc = row["accuracy"].get("srcc")
    return (
        row["model"],
        row["precision"],
        f"{row['backend']} {row['device']}{in_threads(row.get('threads'))}",
        in_views(row["sampling"], row["views"]),
        str(row["batch"]),
        f"{per_picture_ms(row):.2f}",
        *(f"{times[name]:.2f}" for name in ("p50", "p90", "p99", "max")),
        f"{row['pictures_per_s']:.1f}",
        "–" if srcc is None else f"{srcc:.4f}",
        f"{sum(cold[key] for key in ('import_ms', 'open_ms', 'first_ms')):.0f} ms" if cold else "–",
        f"{cold['peak_rss_mb']:.0f}" if cold.get("peak_rss_mb") else "–",
        f"{row['bytes'] / 1e6:.2f}",
        "front" if on_front else "",
    )


def _changed(change: Change) -> Cells:
    row = change.after
    low, high = change.interval
    return (
        point_name(row),
        f"{change.before['latency_ms']['p50']:.2f} ms",
        f"{row['latency_ms']['p50']:.2f} ms",
        f"{change.ratio:.3f}",
        f"{low:.3f} {high:.3f}",
        change.verdict,
        _gained(change.srcc_change),
    )


def _gained(change: float | None) -> str:
    if change is None:
        return "–"
    return f"{change:+.4f}" if math.isfinite(change) else "lost"
