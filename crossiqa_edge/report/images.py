"""Scored pictures as a part of the HTML report: figures, histogram, and a card each."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePath

from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.decode import MAX_PIXELS
from crossiqa_edge.report import histogram
from crossiqa_edge.report.page import figures, table, text, verdict
from crossiqa_edge.report.result import Result, worst_first
from crossiqa_edge.report.thumbnail import Thumbnail, thumbnail
from crossiqa_edge.score import Score

MAX_PICTURES = 500  # about 12 KB each: a page that any browser opens at once


def pictures_body(
    results: Sequence[Result],
    *,
    track: Callable[[Sequence[Result]], Iterable[Result]] = iter,
    max_pixels: int = MAX_PIXELS,
) -> str:
    """Markup for ``results``, scored and failed ones, in the order the user gave them.

    At most ``MAX_PICTURES`` are shown, the worst ones; the others are listed.

    Args:
        track: wraps the pictures while their thumbnails are made, to show progress.
        max_pixels: the limit under which they were scored.
    """
    places = {id(result): place for place, result in enumerate(results)}
    ranked = worst_first([result for result in results if result.score is not None])
    cards = [
        _card(result, places[id(result)], _thumbnail(result, max_pixels))
        for result in track(ranked[:MAX_PICTURES])
    ]
    failed = [result for result in results if result.score is None]
    return "".join(
        (
            _summary([result.score.value for result in ranked if result.score], len(failed)),
            _gallery(cards, len(ranked)),
            table("Not shown above", ("Score", "File"), list(map(_score_row, ranked[MAX_PICTURES:])), 1),
            table("Could not be scored", ("File", "Reason"), list(map(_error_row, failed))),
        )
    )


def _summary(values: Sequence[float], failed: int) -> str:
    """Figures on the left, histogram on the right."""
    rows = [("Pictures", str(len(values)))]
    if values:
        low, middle, mean = min(values), statistics.median(values), statistics.fmean(values)
        rows += [("Mean", verdict(mean)), ("Median", verdict(middle)), ("Worst", verdict(low))]
    if failed:
        rows.append(("Not scored", str(failed)))
    return f'<section class="summary">{figures(rows)}{histogram.svg(values)}</section>'


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


def _card(result: Result, place: int, small: Thumbnail | None) -> str:
    assert result.score is not None
    score, path = result.score, PurePath(result.path)
    size = f"{small.full_width} × {small.full_height}" if small else ""
    folder = "" if str(path.parent) == "." else f'<p class="folder">{text(str(path.parent))}</p>'
    name = "standard input" if result.path == "-" else path.name
    return (
        f'<li class="card" data-score="{score.value:.4f}" data-given="{place}">'
        f'<div class="picture">{_image(small, name)}</div><div class="text">'
        f'<p class="verdict word-{score.word}"><span class="number">{score.value:.1f}</span>'
        f'<span>{score.word}</span><span class="size number">{size}</span></p>'
        f'{_interval(score)}{_remarks(score)}<p class="name">{text(name)}</p>{folder}</div></li>'
    )


def _remarks(score: Score) -> str:
    """Where the score stands among the reference set, and the flags that throw doubt on it."""
    remarks = []
    if score.percentile is not None:
        remarks.append(text(f"better than {score.percentile:.0f} % of {score.reference}"))
    if score.flags:
        remarks.append(f'<span class="flags">{", ".join(score.flags)}</span>')
    return f'<p class="remarks">{" · ".join(remarks)}</p>' if remarks else ""


def _thumbnail(result: Result, max_pixels: int) -> Thumbnail | None:
    """None where the picture has gone since it was scored."""
    if result.source is None:
        return None
    try:
        return thumbnail(result.source, max_pixels=max_pixels)
    except InputError:
        return None


def _image(small: Thumbnail | None, name: str) -> str:
    if small is None:
        return "<span>no preview</span>"
    return f'<img src="{small.address}" width="{small.width}" height="{small.height}" alt="{text(name)}">'


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


def _score_row(result: Result) -> tuple[str, str]:
    assert result.score is not None
    return f"{result.score.value:.1f} {result.score.word}", text(result.path)


def _error_row(result: Result) -> tuple[str, str]:
    return text(result.path), text(result.error or "")
