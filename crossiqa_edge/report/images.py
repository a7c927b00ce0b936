"""The report on scored pictures: one HTML file that opens anywhere, without a network.

The page holds its own style, script and thumbnails, and a Content-Security-Policy that allows exactly
those. Every text that comes from outside passes through ``html.escape``.
"""

from __future__ import annotations

import base64
import hashlib
import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import PurePath
from string import Template

from crossiqa_edge.atomic import write_text
from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.decode import name_of
from crossiqa_edge.report import histogram
from crossiqa_edge.report.result import Result, worst_first
from crossiqa_edge.report.thumbnail import Thumbnail, thumbnail
from crossiqa_edge.score import Score, quality_word

MAX_PICTURES = 500  # about 12 KB each: a page that any browser opens at once

_READING = (
    "Scores run from 0 to 100, higher is better. The words are those of the five-point scale of "
    "ITU-R BT.500, each a fifth of the range. The mark on a bar is the score; where there is a pale "
    "band, the human score lay inside a band of this width in nine of ten held-out pictures."
)


def write_images_report(
    results: Sequence[Result],
    path: str | os.PathLike[str],
    provenance: Mapping[str, str],
    *,
    track: Callable[[Sequence[Result]], Iterable[Result]] = iter,
) -> None:
    """Write one self-contained HTML file about ``results``.

    Args:
        results: scored and failed pictures, in the order the user gave them.
        path: the file; it appears whole or not at all.
        provenance: what produced the scores, as label and text, for the head of the page.
        track: wraps the pictures while their thumbnails are made, to show progress.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    write_text(path, images_page(results, provenance, track=track))


def images_page(
    results: Sequence[Result],
    provenance: Mapping[str, str],
    *,
    track: Callable[[Sequence[Result]], Iterable[Result]] = iter,
) -> str:
    """The page that ``write_images_report`` writes. At most ``MAX_PICTURES`` are shown, the worst ones."""
    template = resources.files(__package__).joinpath("images.html").read_text("utf-8")
    places = {id(result): place for place, result in enumerate(results)}
    ranked = worst_first([result for result in results if result.score is not None])
    cards = [_card(result, places[id(result)]) for result in track(ranked[:MAX_PICTURES])]
    failed = [result for result in results if result.score is None]
    return Template(template).substitute(
        policy=_policy(template),
        title="Image quality report",
        summary=_summary([result.score.value for result in ranked if result.score], len(failed)),
        gallery=_gallery(cards, len(ranked)),
        unshown=_table(
            "Not shown above", ("Score", "File"), [_score_row(result) for result in ranked[MAX_PICTURES:]]
        ),
        errors=_table("Could not be scored", ("File", "Reason"), [_error_row(result) for result in failed]),
        provenance="".join(
            f"<div><dt>{_text(key)}</dt> <dd>{_text(value)}</dd></div>" for key, value in provenance.items()
        ),
        reading=_READING,
    )


def _text(text: str) -> str:
    return escape(name_of(text))


def _policy(template: str) -> str:
    """Nothing but this page's own style, script and ``data:`` pictures."""

    def allowed(tag: str) -> str:
        content = template.split(f"<{tag}>")[1].split(f"</{tag}>")[0]
        return "'sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() + "'"

    return f"default-src 'none'; img-src data:; style-src {allowed('style')}; script-src {allowed('script')}"


def _summary(values: Sequence[float], failed: int) -> str:
    """Figures on the left, histogram on the right."""
    figures = [("Pictures", str(len(values)))]
    if values:
        low, middle, mean = min(values), statistics.median(values), statistics.fmean(values)
        figures += [("Mean", _figure(mean)), ("Median", _figure(middle)), ("Worst", _figure(low))]
    if failed:
        figures.append(("Not scored", str(failed)))
    rows = "".join(f'<dt>{label}</dt><dd class="number">{figure}</dd>' for label, figure in figures)
    return f'<section class="summary"><dl class="figures">{rows}</dl>{histogram.svg(values)}</section>'


def _figure(value: float) -> str:
    word = quality_word(value)
    return f'{value:.1f} <small class="word-{word}">{word}</small>'


def _gallery(cards: Sequence[str], total: int) -> str:
    if not cards:
        return ""
    note = f"the {len(cards)} worst of {total}" if len(cards) < total else f"{total}"
    orders = (("worst", "Worst first"), ("best", "Best first"), ("given", "As given"))
    buttons = "".join(
        f'<button type="button" data-order="{order}" aria-pressed="{str(order == "worst").lower()}">'
        f"{label}</button>"
        for order, label in orders
    )
    return (
        f'<div class="bar"><h2>Pictures</h2><p class="note">{note}</p>'
        f'<div class="orders" role="group" aria-label="Order of the pictures">{buttons}</div></div>'
        f'<ol class="gallery">{"".join(cards)}</ol>'
    )


def _card(result: Result, place: int) -> str:
    assert result.score is not None
    score, path = result.score, PurePath(result.path)
    small = _thumbnail(result)
    size = f"{small.full_width} × {small.full_height}" if small else ""
    folder = "" if str(path.parent) == "." else f'<p class="folder">{_text(str(path.parent))}</p>'
    name = "standard input" if result.path == "-" else path.name
    return (
        f'<li class="card" data-score="{score.value:.4f}" data-given="{place}">'
        f'<div class="picture">{_image(small, name)}</div><div class="text">'
        f'<p class="verdict word-{score.word}"><span class="number">{score.value:.1f}</span>'
        f'<span>{score.word}</span><span class="size number">{size}</span></p>'
        f'{_interval(score)}<p class="name">{_text(name)}</p>{folder}</div></li>'
    )


def _thumbnail(result: Result) -> Thumbnail | None:
    """None where the picture has gone since it was scored."""
    try:
        return thumbnail(result.source) if result.source is not None else None
    except InputError:
        return None


def _image(small: Thumbnail | None, name: str) -> str:
    if small is None:
        return "<span>no preview</span>"
    return f'<img src="{small.address}" width="{small.width}" height="{small.height}" alt="{_text(name)}">'


def _interval(score: Score) -> str:
    """The score as a mark on a track from 0 to 100, over the band of its interval."""
    low, high = score.interval or (score.value, score.value)
    label = f"{score.value:.1f} of 100" + (f", {low:.0f} to {high:.0f}" if score.interval else "")
    return (
        f'<svg class="interval word-{score.word}" viewBox="0 0 200 12" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}"><title>{label}</title>'
        f'<rect class="track" y="4" width="200" height="4" rx="2"/>'
        f'<rect class="band" x="{2 * low:.1f}" y="2" width="{2 * (high - low):.1f}" height="8" rx="2"/>'
        f'<rect class="mark" x="{min(2 * score.value, 197):.1f}" width="3" height="12" rx="1.5"/></svg>'
    )


def _score_row(result: Result) -> str:
    assert result.score is not None
    return (
        f'<tr><td class="number">{result.score.value:.1f} {result.score.word}</td>'
        f"<td>{_text(result.path)}</td></tr>"
    )


def _error_row(result: Result) -> str:
    return f"<tr><td>{_text(result.path)}</td><td>{_text(result.error or '')}</td></tr>"


def _table(title: str, columns: tuple[str, str], rows: Sequence[str]) -> str:
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    return (
        f'<section class="more"><h2>{title}</h2><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></section>"
    )
