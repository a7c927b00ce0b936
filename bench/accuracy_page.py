"""docs/accuracy.md from results: ``python -m crossiqa_edge.bench.accuracy_page FOLDER``.

The folder is what ``python -m crossiqa_edge.bench.accuracy`` fills; the prose is ``accuracy_page.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

from crossiqa_edge.bench import accuracy_tables as tables
from crossiqa_edge.bench.accuracy_bars import bar_cells, compared, losses
from crossiqa_edge.bench.accuracy_results import Results
from crossiqa_edge.bench.accuracy_rows import FIGURES, picture_name, read
from crossiqa_edge.bench.pages import image, print_page
from crossiqa_edge.bench.tables import Cells, markdown

SIZES = ("nano", "tiny")  # those for which bars were set


def page(folder: Path) -> str:
    """The page about the results in ``folder``.

    Raises:
        InputError: no rows there, or none of a float32 model.
    """
    rows = read(folder / FIGURES)
    members = [member for size in SIZES if (member := Results(rows, size)).measured] or [Results(rows)]
    lost = [loss for member in members for loss in losses(member)]
    before = [line for member in members for line in tables.before_cells(member)]
    return _template().format(
        folder=folder.as_posix(),
        models=" and ".join(map(_told, members)),
        bars=_each(members, "Bars set for {} before it was trained:", bar_cells),
        overview=markdown(tables.overview_cells(members)),
        scatter=_pictures(folder, "scatter", "Opinions against scores", members),
        ahead="\n".join(map(_ahead, members)),
        losses=f"\n{markdown(tables.loss_cells(lost))}\n" if lost else "",
        types=_pictures(folder, "types", "Agreement within each type", members),
        tid_types=markdown(tables.type_cells(members, "tid")),
        population_types=markdown(tables.type_cells(members, "population")),
        probes=_each(members, "{}:", tables.probe_cells),
        precisions=_each(members, "{}:", tables.precision_cells),
        coverage=markdown(tables.coverage_cells(members)),
        views=markdown(tables.views_cells(members)),
        order=markdown(tables.order_cells(members)),
        video=_each(members, "{}:", tables.video_cells),
        reconstruction=_each(members, "{}:", tables.reconstruction_cells),
        before=_section("Before and now", before),
    )


def _told(member: Results) -> str:
    model = member.model
    return f"`{model['column']}`, file `{model['digest']}`, measured {model['made']}"


def _each(members: Sequence[Results], words: str, cells: Callable[[Results], list[Cells]]) -> str:
    """A table for each member, under ``words`` with its name."""
    return "\n\n".join(f"{words.format(member.size)}\n\n{markdown(cells(member))}" for member in members)


def _pictures(folder: Path, kind: str, words: str, members: Sequence[Results]) -> str:
    names = ((picture_name(kind, member.size), f"{words}, {member.size}") for member in members)
    return "".join(image(folder, name, told) for name, told in names)


def _template() -> str:
    return resources.files(__package__).joinpath("accuracy_page.md").read_text("utf-8")


def _ahead(results: Results) -> str:
    """Whether every comparison is won, in words."""
    peers = results.names("peer")
    if not peers:
        return "No classical metric was measured."
    named = ", ".join(peers[:-1]) + " and " + peers[-1] if len(peers) > 1 else peers[0]
    lost, count = len(losses(results)), compared(results)
    verdict = "yes" if lost == 0 else f"no, in {count - lost} of {count} comparisons"
    return (
        f"{results.size}: ahead of {named} on all of each set, in every band and on every type: {verdict}.\n"
    )


def _section(title: str, cells: Sequence[Cells]) -> str:
    return f"\n## {title}\n\n{markdown(cells)}\n" if cells else ""


def main(arguments: list[str] | None = None) -> int:
    return print_page(page, __doc__ or "", arguments)


if __name__ == "__main__":
    sys.exit(main())
