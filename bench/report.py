"""The bench's report: one HTML file with the trade-off, the table, the stages and the machine."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from string import Template

from crossiqa_edge.atomic import atomic_write, write_text
from crossiqa_edge.bench.figure import tradeoff_png
from crossiqa_edge.bench.jsonl import Row
from crossiqa_edge.bench.rows import point_name
from crossiqa_edge.bench.tables import Cells, caption, markdown, result_cells

_STAGES = {
    "decode": "decode",
    "sample": "sample",
    "host_to_device": "host to device (part of infer)",
    "infer": "infer",
    "pool": "pool",
}
_FACTS = ("machine", "libraries", "weather", "input")
_AGREEMENT = ("srcc", "plcc", "krcc")


def write_report(rows: Sequence[Row], path: str | os.PathLike[str]) -> None:
    """Write ``path`` (HTML), and the plot alone beside it (``.png``).

    Raises:
        OutputError: a file cannot be written.
    """
    picture = tradeoff_png(rows)
    write_text(path, _page(rows, picture))
    with atomic_write(os.path.splitext(path)[0] + ".png") as stream:  # noqa: PTH122 - keeps a relative path
        stream.write(picture)


def report_markdown(rows: Sequence[Row]) -> str:
    """The table with its caption, as documents include it."""
    return f"{markdown(result_cells(rows))}\n\n{caption(rows)}\n"


def _page(rows: Sequence[Row], picture: bytes) -> str:
    template = resources.files(__package__).joinpath("report.html").read_text("utf-8")
    style = template.split("<style>", 1)[1].split("</style>", 1)[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return Template(template).substitute(
        policy=f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'",
        caption=escape(caption(rows)),
        picture=base64.b64encode(picture).decode(),
        results=_table(result_cells(rows)),
        stages=_table(_stage_cells(rows)),
        facts=escape(json.dumps({key: rows[0].get(key) for key in _FACTS}, indent=2)),
    )


def _stage_cells(rows: Sequence[Row]) -> list[Cells]:
    stages = [f"{words}, ms a picture" for words in _STAGES.values()]
    header: Cells = (
        "point",
        *stages,
        "longest",
        "peak device MB",
        "energy, mJ a picture",
        *map(str.upper, _AGREEMENT),
    )
    return [header, *map(_stages, rows)]


def _stages(row: Row) -> Cells:
    energy = row.get("energy_mj_per_picture")
    return (
        point_name(row),
        *(_figure(row["stages_ms"].get(name), 3) for name in _STAGES),
        _longest(row["stages_ms"]),
        _figure((row.get("cold") or {}).get("peak_device_mb"), 0),
        "no counter here" if energy is None else f"{energy:.1f} ({row.get('energy_counter')})",
        *map(_figure, (row["accuracy"].get(name) for name in _AGREEMENT)),
    )


def _longest(stages: Mapping[str, float | None]) -> str:
    """The stage that limits, with its share of the work."""
    beside = {name: ms for name, ms in stages.items() if ms is not None and name != "host_to_device"}
    name = max(beside, key=lambda stage: beside[stage])
    return f"{name}, {beside[name] / sum(beside.values()):.0%}"


def _figure(value: float | None, digits: int = 4) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _table(cells: Sequence[Cells]) -> str:
    header, *body = cells
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(map(_line, body))}</tbody></table>"


def _line(line: Cells) -> str:
    mark = ' class="front"' if line[-1] == "front" else ""
    return f"<tr{mark}>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>"
