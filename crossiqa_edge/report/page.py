"""The frame of every HTML report: one file that opens anywhere, without a network.

The page holds its own style, script and pictures, and a Content-Security-Policy that allows exactly those.
Every text that comes from outside passes through ``text``.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from string import Template

from crossiqa_edge.imaging.decode import name_of
from crossiqa_edge.score import quality_word


def render(title: str, provenance: Mapping[str, str], body: str, reading: str) -> str:
    """A whole page: ``body`` is markup, ``title`` and ``reading`` are the house's own words.

    Args:
        provenance: what produced the scores, as label and text, for the head of the page.
        reading: how to read the scores, for its foot.
    """
    style, script = _part("page.css"), _part("page.js")
    return Template(_part("page.html")).substitute(
        policy=f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}",
        style=style,
        script=script,
        title=title,
        provenance=definitions(provenance),
        body=body,
        reading=reading,
    )


def text(value: str) -> str:
    """``value`` as markup that shows it, on one line."""
    return escape(name_of(value))


def definitions(values: Mapping[str, str]) -> str:
    """The entries of a description list."""
    return "".join(f"<div><dt>{text(key)}</dt> <dd>{text(value)}</dd></div>" for key, value in values.items())


def figures(rows: Sequence[tuple[str, str]]) -> str:
    """Labelled figures; the figures are markup."""
    cells = "".join(f'<dt>{label}</dt><dd class="number">{figure}</dd>' for label, figure in rows)
    return f'<dl class="figures">{cells}</dl>'


def verdict(value: float) -> str:
    """A score with its word, in the word's colour."""
    word = quality_word(value)
    return f'{value:.1f} <small class="word-{word}">{word}</small>'


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> str:
    """A section with a table, or nothing without rows; cells are markup, the first ``numbers`` figures."""
    if not rows:
        return ""
    head = "".join(_cells(columns, numbers, 'th scope="col"'))
    body = "".join(f"<tr>{''.join(_cells(row, numbers, 'td'))}</tr>" for row in rows)
    return (
        f'<section class="more"><h3>{title}</h3><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></section>"
    )


def _cells(row: Sequence[str], numbers: int, tag: str) -> Iterator[str]:
    for place, cell in enumerate(row):
        kind = ' class="number"' if place < numbers else ""
        yield f"<{tag}{kind}>{cell}</{tag.split()[0]}>"


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _hash(content: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() + "'"
