"""The ablation's table: ``python -m crossiqa_edge.bench.ablation_table FOLDER``, Markdown on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from crossiqa_edge.bench.ablation import RUNS, VARIANTS, Variant
from crossiqa_edge.bench.jsonl import Row, parsed
from crossiqa_edge.bench.pages import print_page
from crossiqa_edge.bench.tables import Cells, markdown
from crossiqa_edge.errors import InputError

_CONFIDENCE = 0.95


def table_cells(rows: Iterable[Row]) -> list[Cells]:
    """Header and one line a variant that has been run: seeds, then for each held-out set the mean SRCC over
    seeds and, in brackets, its change against the variant compared with, seed by seed."""
    found: dict[str, dict[int, Row]] = {}
    for row in rows:
        found.setdefault(row["variant"], {})[row["seed"]] = row
    run = [variant for variant in VARIANTS if variant.name in found]
    if not run:
        raise InputError(
            "no run of a variant that is known; make some with python -m crossiqa_edge.bench.ablation"
        )
    sets = list(next(iter(found[run[0].name].values()))["srcc"])
    return [("variant", "against", "seeds", *sets), *(_line(item, found, sets) for item in run)]


def _line(variant: Variant, found: dict[str, dict[int, Row]], sets: Sequence[str]) -> Cells:
    own, other = found[variant.name], found.get(variant.against, {})
    first = variant.name == variant.against
    shared = [] if first else sorted(own.keys() & other.keys())
    cells = []
    for name in sets:
        mean = float(np.mean([row["srcc"][name] for row in own.values()]))
        changes = [own[seed]["srcc"][name] - other[seed]["srcc"][name] for seed in shared]
        cells.append(f"{mean:.3f}" + (f" ({_change(changes)})" if changes else ""))
    return (variant.name, "" if first else variant.against, str(len(own)), *cells)


def _change(changes: Sequence[float]) -> str:
    """Mean of paired differences with the half width of Student's interval; none of a single pair."""
    mean = float(np.mean(changes))
    if len(changes) < 2:
        return f"{mean:+.3f}"
    quantile = stats.t.ppf(0.5 + _CONFIDENCE / 2, len(changes) - 1)
    half = float(quantile * np.std(changes, ddof=1) / np.sqrt(len(changes)))
    return f"{mean:+.3f} ± {half:.3f}"


def page(folder: Path) -> str:
    """The table about the runs in ``folder``.

    Raises:
        InputError: no runs there.
    """
    return markdown(table_cells(row for _, row in parsed(folder / RUNS))) + "\n"


def main(arguments: list[str] | None = None) -> int:
    return print_page(page, __doc__ or "", arguments)


if __name__ == "__main__":
    sys.exit(main())
