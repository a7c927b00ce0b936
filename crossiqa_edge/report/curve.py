"""The score of a clip over time as an inline SVG: plain without script, a zoomable plot with the page's.

The plot is an ``<svg>`` of its own inside the drawing, in units of seconds and of score, so that the script
zooms by changing one ``viewBox`` and nothing needs to be drawn again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from crossiqa_edge.score import FIVE_POINT_SCALE
from crossiqa_edge.video.pooling import timecode
from crossiqa_edge.video.report import VideoReport
from crossiqa_edge.video.results import FLAGS

WIDTH, HEIGHT = 1080, 300  # of the drawing, in user units
LEFT, TOP, RIGHT, BASE = 34, 10, 1010, 250  # of the plot in it
_STRIP = 8  # height of the strip below it, where flags show
_BUCKETS = 2000  # a longer curve keeps the lowest and the highest point of each
_TICKS = 8


def svg(report: VideoReport, marked: Sequence[int]) -> str:
    """The ``<svg>`` element for a report with a scored frame or more.

    Args:
        marked: places of frames that get a marker each, 1, 2, …
    """
    start, end = _span(report)
    box = f'viewBox="{start:.4f} 0 {end - start:.4f} 100" preserveAspectRatio="none"'
    place = f'x="{LEFT}" width="{RIGHT - LEFT}"'
    inside = "".join((*_bands(start, end), *_stretches(report), *_cuts(report), _line(report)))
    return (
        f'<svg class="time" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" tabindex="0" '
        f'data-plot="{LEFT} {TOP} {RIGHT} {BASE}" data-span="{start:.4f} {end:.4f}" '
        f'data-points="{json.dumps(_points(report), separators=(",", ":"))}" '
        f'aria-label="Score of {int(report.scored.sum())} frames over time">'
        f'<svg class="plot" {place} y="{TOP}" height="{BASE - TOP}" {box}>{inside}</svg>'
        f'<svg class="strip" {place} y="{BASE + 4}" height="{_STRIP}" {box}>{"".join(_flags(report))}</svg>'
        f"{''.join(_scale())}{_ticks(start, end)}{''.join(_markers(report, marked, start, end))}"
        f'<g class="cursor" visibility="hidden"><path d="M0 {TOP}V{BASE}"/><circle r="4.5"/></g></svg>'
    )


def _span(report: VideoReport) -> tuple[float, float]:
    start = float(report.pts[0])
    return start, max(float(report.pts[-1]) + report.period, start + 1e-3)


def _points(report: VideoReport) -> list[list[float]]:
    """[seconds, score, index] of the points on the curve."""
    kept = _kept(report)
    columns = (report.pts[kept].round(4), report.score[kept].round(2), report.index[kept])
    return [
        [pts, score, int(index)] for pts, score, index in zip(*(c.tolist() for c in columns), strict=True)
    ]


def _kept(report: VideoReport) -> list[int]:
    """Places of the scored frames that are drawn: all, or of each bucket the lowest and the highest."""
    places = np.flatnonzero(report.scored)
    if len(places) <= 2 * _BUCKETS:
        return [int(place) for place in places]
    chosen: set[int] = set()
    for bucket in np.array_split(places, _BUCKETS):
        scores = report.score[bucket]
        chosen |= {int(bucket[scores.argmin()]), int(bucket[scores.argmax()])}
    return sorted(chosen)


def _line(report: VideoReport) -> str:
    """The curve, interrupted where frames were flagged or lost."""
    kept = _kept(report)
    unscored = np.cumsum(~report.scored)
    lost = np.array([gap.start_pts for gap in report.gaps])
    parts = []
    before: int | None = None
    for place in kept:
        pts, y = report.pts[place], 100 - report.score[place]
        joined = (
            before is not None
            and unscored[before] == unscored[place]
            and not np.any((lost >= report.pts[before]) & (lost <= pts))
        )
        # a frame that stands alone shows as long as it lasts
        parts.append(f"L{pts:.4f} {y:.2f}" if joined else f"M{pts:.4f} {y:.2f}h{report.period * 0.5:.4f}")
        before = place
    return f'<path class="line" d="{"".join(parts)}"/>'


def _bands(start: float, end: float) -> Iterator[str]:
    upper = 100.0
    for cut, word in FIVE_POINT_SCALE:
        yield (
            f'<rect class="band word-{word}" x="{start:.4f}" y="{100 - upper:.0f}" '
            f'width="{end - start:.4f}" height="{upper - cut:.0f}"/>'
        )
        upper = cut


def _stretches(report: VideoReport) -> Iterator[str]:
    """Bad segments and gaps, over the whole height."""
    for segment in report.bad_segments:
        yield _stretch("bad", segment.start, segment.end, f"bad: mean {segment.mean:.1f}")
    for gap in report.gaps:
        yield _stretch("gap", gap.start_pts, gap.start_pts + gap.seconds, "gap")


def _stretch(kind: str, start: float, end: float, what: str) -> str:
    return (
        f'<rect class="{kind}" x="{start:.4f}" y="0" width="{max(end - start, 0):.4f}" height="100">'
        f"<title>{what}, {timecode(start)} to {timecode(end)}</title></rect>"
    )


def _cuts(report: VideoReport) -> Iterator[str]:
    for pts in report.pts[report.is_cut]:
        if pts > report.pts[0]:
            when = timecode(float(pts))
            yield f'<path class="cut" d="M{pts:.4f} 0V100"><title>cut at {when}</title></path>'


def _flags(report: VideoReport) -> Iterator[str]:
    """Runs of frames with one flag, as bars in the strip."""
    ends = np.append(report.pts[1:], report.pts[-1:] + report.period)
    for bit, flag in enumerate(FLAGS):
        marked = np.flatnonzero(report.flags >> bit & 1)
        for run in np.split(marked, np.flatnonzero(np.diff(marked) > 1) + 1) if len(marked) else ():
            first, last = report.pts[run[0]], ends[run[-1]]
            yield (
                f'<rect class="flag-{flag}" x="{first:.4f}" y="0" width="{last - first:.4f}" height="100">'
                f"<title>{flag}: {len(run)} frames</title></rect>"
            )


def _scale() -> Iterator[str]:
    """The scores on the left, their words on the right."""
    levels = [100.0, *(cut for cut, _ in FIVE_POINT_SCALE)]
    for level in levels:
        yield f'<text class="score" x="{LEFT - 8}" y="{_y(level) + 4:.1f}">{level:.0f}</text>'
    for (upper, lower), (_, word) in zip(pairwise(levels), FIVE_POINT_SCALE, strict=True):
        middle = _y((upper + lower) / 2) + 4
        yield f'<text class="word word-{word}" x="{RIGHT + 8}" y="{middle:.1f}">{word}</text>'


def _ticks(start: float, end: float) -> str:
    """Times below the plot, at round distances. The script replaces them when it zooms."""
    step = next(s for s in _steps() if (end - start) / s <= _TICKS)
    times = np.arange(np.ceil(start / step - 1e-9), end / step + 1e-9) * step
    labels = "".join(
        f'<text x="{_x(time, start, end):.1f}" y="{BASE + 30}">{_short(time, step)}</text>' for time in times
    )
    return f'<g class="ticks">{labels}</g>'


def _steps() -> Iterator[float]:
    yield from (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800)
    hours = 1
    while True:
        yield 3600.0 * hours
        hours *= 2


def _short(time: float, step: float) -> str:
    """A time as short as the distance of the ticks allows."""
    if step < 1:
        return f"{time:.{1 if step >= 0.1 else 2}f} s"
    return timecode(time).removeprefix("0:").split(".")[0]


def _markers(report: VideoReport, marked: Sequence[int], start: float, end: float) -> Iterator[str]:
    for number, place in enumerate(marked, 1):
        pts, score = float(report.pts[place]), float(report.score[place])
        beside = -10 if score < 12 else 18
        yield (
            f'<g class="marker" data-at="{pts:.4f}" data-score="{score:.2f}" '
            f'transform="translate({_x(pts, start, end):.1f} {_y(score):.1f})">'
            f'<circle r="3.5"/><text y="{beside}">{number}</text></g>'
        )


def _x(time: float, start: float, end: float) -> float:
    return LEFT + (RIGHT - LEFT) * (time - start) / (end - start)


def _y(score: float) -> float:
    return BASE - (BASE - TOP) * score / 100
