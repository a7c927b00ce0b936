"""A histogram of scores as a small inline SVG."""

from __future__ import annotations

from collections.abc import Sequence

from crossiqa_edge.score import FIVE_POINT_SCALE, quality_word

BINS = 20  # of five points each, so that every cut of the five-point scale falls between two bins
WIDTH, HEIGHT = 640, 148  # of the drawing, in user units
_TOP, _BASE = 18, 108  # of the tallest bar; the baseline


def counts(values: Sequence[float]) -> list[int]:
    """How many of ``values`` (0..100) fall into each of the ``BINS`` bins; 100 belongs to the last."""
    bins = [0] * BINS
    for value in values:
        bins[min(int(value * BINS / 100), BINS - 1)] += 1
    return bins


def svg(values: Sequence[float], noun: str = "picture") -> str:
    """The ``<svg>`` element for ``values`` (0..100), each the score of a ``noun``.

    Colours come from the page's classes ``word-*``.
    """
    bins = counts(values)
    tallest = max(bins, default=0) or 1
    parts = [
        f'<svg class="histogram" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Histogram of {len(values)} scores from 0 to 100">'
    ]
    for index, count in enumerate(bins):
        if count:
            parts.append(_bar(index, count, tallest, noun))
    parts.append(f'<path class="axis" d="M0 {_BASE + 0.5}H{WIDTH}"/>')
    parts += _axis()
    parts.append("</svg>")
    return "".join(parts)


def _bar(index: int, count: int, tallest: int, noun: str) -> str:
    step = WIDTH / BINS
    height = max((_BASE - _TOP) * count / tallest, 2.0)
    low = index * 100 // BINS
    what = noun if count == 1 else f"{noun}s"
    return (
        f'<g class="word-{quality_word(low)}"><title>{low} to {low + 100 // BINS}: {count} {what}</title>'
        f'<rect x="{index * step + 1.5:.1f}" y="{_BASE - height:.1f}" width="{step - 3:.1f}" '
        f'height="{height:.1f}" rx="2"/>'
        f'<text x="{(index + 0.5) * step:.1f}" y="{_BASE - height - 5:.1f}">{count}</text></g>'
    )


def _axis() -> list[str]:
    """Ticks at the cuts of the five-point scale, and each word in the middle of its fifth."""
    parts = []
    upper = 100.0
    for cut, word in FIVE_POINT_SCALE:
        x, middle = cut * WIDTH / 100, (cut + upper) / 2 * WIDTH / 100
        anchor = ' class="start"' if cut == 0 else ""
        parts.append(f'<text{anchor} x="{x:.0f}" y="{_BASE + 16}">{cut:.0f}</text>')
        parts.append(f'<text class="word" x="{middle:.0f}" y="{_BASE + 33}">{word}</text>')
        upper = cut
    parts.append(f'<text class="end" x="{WIDTH}" y="{_BASE + 16}">100</text>')
    return parts
