"""docs/accuracy.md from results: ``python -m crossiqa_edge.bench.accuracy_page FOLDER``.

The folder is what ``python -m crossiqa_edge.bench.accuracy`` fills; the prose is ``accuracy_page.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from crossiqa_edge.bench import accuracy_tables as tables
from crossiqa_edge.bench.accuracy_bars import bar_cells, compared, losses
from crossiqa_edge.bench.accuracy_results import Results
from crossiqa_edge.bench.accuracy_rows import FIGURES, SCATTER, TYPES, read
from crossiqa_edge.bench.pages import image, print_page
from crossiqa_edge.bench.tables import Cells, markdown


def page(folder: Path) -> str:
    """The page about the results in ``folder``.

    Raises:
        InputError: no rows there, or none of a float32 model.
    """
    results = Results(read(folder / FIGURES))
    lost = losses(results)
    before = tables.before_cells(results)
    return _template().format(
        folder=folder.as_posix(),
        model=results.model["column"],
        digest=results.model["digest"],
        made=results.model["made"],
        bars=markdown(bar_cells(results)),
        overview=markdown(tables.overview_cells(results)),
        scatter=image(folder, SCATTER, "Opinions against scores"),
        ahead=_ahead(results, len(lost)),
        losses=f"\n{markdown(tables.loss_cells(lost))}\n" if lost else "",
        types=image(folder, TYPES, "Agreement within each type"),
        tid_types=markdown(tables.type_cells(results, "tid")),
        population_types=markdown(tables.type_cells(results, "population")),
        probes=markdown(tables.probe_cells(results)),
        precisions=markdown(tables.precision_cells(results)),
        order=markdown(tables.order_cells(results)),
        video=markdown(tables.video_cells(results)),
        reconstruction=markdown(tables.reconstruction_cells(results)),
        before=_section("Before and now", before),
    )


def _template() -> str:
    return resources.files(__package__).joinpath("accuracy_page.md").read_text("utf-8")


def _ahead(results: Results, lost: int) -> str:
    """Whether every comparison is won, in words."""
    peers = results.names("peer")
    if not peers:
        return "No classical metric was measured."
    named = ", ".join(peers[:-1]) + " and " + peers[-1] if len(peers) > 1 else peers[0]
    verdict = "yes" if lost == 0 else f"no, in {compared(results) - lost} of {compared(results)} comparisons"
    return f"Ahead of {named} on all of each set, in every band and on every type: {verdict}."


def _section(title: str, cells: Sequence[Cells]) -> str:
    return f"\n## {title}\n\n{markdown(cells)}\n" if cells else ""


def main(arguments: list[str] | None = None) -> int:
    return print_page(page, __doc__ or "", arguments)


if __name__ == "__main__":
    sys.exit(main())
