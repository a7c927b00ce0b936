"""The kernels' timings for people: one line a candidate, as text or as Markdown.

python -m crossiqa_edge.bench.kernel_table bench/results/kernels.jsonl
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from crossiqa_edge.bench.jsonl import Row

HEADER = ("case", "candidate", "mode", "p50 µs", "p95 µs", "of the roof", "times ours", "off by")


def cells(row: Row) -> tuple[str, ...]:
    """A row as texts, in the order of ``HEADER``."""
    case = " ".join([row["kernel"], *(f"{name} {value}" for name, value in row["shape"].items())])
    if "error" in row:
        return case, row["candidate"] or "all", row["error"], "", "", "", "", ""
    ratio, between = row["ratio_to_ours"], row["ratio_interval"]
    return (
        case,
        row["candidate"],
        row["mode"],
        f"{1e3 * row['p50_ms']:.1f}",
        f"{1e3 * row['p95_ms']:.1f}",
        f"{100 * row['roof_share']:.0f} %",
        "" if ratio is None else f"{ratio:.2f} ({between[0]:.2f} to {between[1]:.2f})",
        f"{row['distance']:.1e}",
    )


def as_text(rows: Sequence[Row]) -> str:
    """Aligned columns for a terminal."""
    lines = [HEADER, *map(cells, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def as_markdown(rows: Sequence[Row]) -> str:
    """A table, above it where it was measured."""
    first = rows[0]
    where = f"{first['device']} ({first['architecture']}), CUDA {first['cuda']}, commit {first['commit']}"
    lines = [f"| {' | '.join(line)} |" for line in (HEADER, *map(cells, rows))]
    return "\n".join([f"Measured on {where}.", "", lines[0], "|---" * len(HEADER) + "|", *lines[1:]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("results", type=Path, help="kernels.jsonl of crossiqa_edge.bench.kernels")
    rows = [json.loads(line) for line in parser.parse_args().results.read_text().splitlines()]
    print(as_markdown([row for row in rows if row["run"] == rows[-1]["run"]]))


if __name__ == "__main__":
    main()
