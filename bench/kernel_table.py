"""The kernels' timings for people: one line a candidate, as text or as Markdown; goals; profiles.

python -m crossiqa_edge.bench.kernel_table bench/results/kernels.jsonl
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from crossiqa_edge.bench import kernel_goals
from crossiqa_edge.bench.jsonl import Row, parsed
from crossiqa_edge.bench.kernel_results import current, profiles, timings, title_of
from crossiqa_edge.bench.rows import latest_run
from crossiqa_edge.errors import InputError

HEADER = ("case", "candidate", "mode", "p50 µs", "p95 µs", "of the roof", "times ours", "off by")
PROFILE_HEADER = ("case", "candidate", "kernel on the GPU", "launches", "µs")
_LONGEST = 8  # kernels of a profile that are shown
_NAME = 60  # characters of a kernel's name that are shown


def cells(row: Row) -> tuple[str, ...]:
    """A row as texts, in the order of ``HEADER``."""
    case = title_of(row)
    if "error" in row:
        return case, row["candidate"] or "all", row["error"], "", "", "", "", ""
    ratio, between, share = row["ratio_to_ours"], row["ratio_interval"], row["roof_share"]
    return (
        case,
        row["candidate"],
        row["mode"],
        f"{1e3 * row['p50_ms']:.1f}",
        f"{1e3 * row['p95_ms']:.1f}",
        "" if share is None else f"{100 * share:.0f} %",
        "" if ratio is None else f"{ratio:.2f} ({between[0]:.2f} to {between[1]:.2f})",
        f"{row['distance']:.1e}",
    )


def profile_cells(row: Row) -> list[tuple[str, ...]]:
    """The longest kernels of a profile as texts, in the order of ``PROFILE_HEADER``, and their sum."""
    named = title_of(row), row["candidate"] or "all"
    if not row["profile"]:
        return [(*named, row.get("error", "the profiler saw no kernel"), "", "")]
    longest = [
        (*named, kernel["name"][:_NAME], f"{kernel['launches']:g}", f"{kernel['us']:.1f}")
        for kernel in row["profile"][:_LONGEST]
    ]
    return [*longest, (*named, "all kernels", "", f"{row['device_us']:.1f}")]


def as_text(rows: Iterable[Row]) -> str:
    """The timings in aligned columns, for a terminal."""
    return _aligned([HEADER, *map(cells, timings(current(rows)))])


def goals_as_text(rows: Sequence[Row]) -> str:
    """The goals and what became of each, for a terminal."""
    return _aligned(kernel_goals.cells(rows))


def profiles_as_text(rows: Iterable[Row]) -> str:
    """The profiles, for a terminal."""
    return _aligned([PROFILE_HEADER, *_profile_lines(rows)])


def as_markdown(rows: Sequence[Row]) -> str:
    """Where it was measured, the timings, the goals, and the profiles where there are any."""
    first = rows[0]
    where = f"{first['device']} ({first['architecture']}), CUDA {first['cuda']}, commit {first['commit']}"
    tables = [
        [HEADER, *map(cells, timings(current(rows)))],
        kernel_goals.cells(rows),
        [PROFILE_HEADER, *_profile_lines(rows)],
    ]
    shown = [_markdown(lines) for lines in tables if len(lines) > 1]
    return "\n\n".join([f"Measured on {where}.", *shown])


def _profile_lines(rows: Iterable[Row]) -> list[tuple[str, ...]]:
    return [line for row in profiles(current(rows)) for line in profile_cells(row)]


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    shown = [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]
    return "\n".join([shown[0], "|---" * len(lines[0]) + "|", *shown[1:]])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("results", type=Path, help="kernels.jsonl of crossiqa_edge.bench.kernels")
    path = parser.parse_args(arguments).results
    try:
        rows = [row for _, row in parsed(path)]
        if not rows:
            raise InputError(f"{path}: no results; make some with python -m crossiqa_edge.bench.kernels")
    except InputError as error:
        print(f"crossiqa: {error}", file=sys.stderr)
        return 2
    print(as_markdown(latest_run(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
