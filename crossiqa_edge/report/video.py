"""A scored clip as a part of the HTML report: figures, curve, stills at its minima, flags and losses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from crossiqa_edge.report import curve, histogram
from crossiqa_edge.report.page import definitions, figures, table, text, verdict
from crossiqa_edge.report.result import ClipResult
from crossiqa_edge.report.thumbnail import Thumbnail, thumbnail
from crossiqa_edge.score import quality_word
from crossiqa_edge.video.again import stills
from crossiqa_edge.video.pooling import METHODS, Segment, timecode
from crossiqa_edge.video.report import VideoReport

MAX_ROWS = 100  # of each table
_METHOD_WORDS = dict(
    zip(METHODS, ("mean", "harmonic mean", "5th percentile", "worst window", "mean of shots"), strict=True)
)
_FACTS = {
    "codec": "Codec",
    "pixel_format": "Pixel format",
    "matrix": "Colour matrix",
    "decoder": "Decoder",
}


def clip_body(clip: ClipResult) -> str:
    """Markup for one clip; the stills are decoded now, from ``clip.source``."""
    report = clip.report
    head = f'<div class="bar"><h2>{text(PurePath(clip.path).name or clip.path)}</h2>{_note(clip)}</div>'
    if report is None or report.pooled is None:
        return f'<section class="clip">{head}{_notice(clip)}{_flag_figures(report)}</section>'
    marked = report.minima()
    return "".join(
        (
            f'<section class="clip">{head}{_notice(clip)}',
            f'<div class="summary">{figures(list(_figures(report)))}{_histogram(report)}</div>',
            _curve(report, marked),
            _gallery(report, marked, _thumbnails(clip, marked)),
            _segments(f"Bad segments: below {report.pooling.bad_below:g}", report.bad_segments),
            _segments("Shots", report.shots if len(report.shots) > 1 else []),
            table("Gaps", ("At", "Seconds", "Reason"), list(map(_gap, report.gaps[:MAX_ROWS])), 2),
            table("Time a frame", ("p50, ms", "p95, ms", "Of the work", "Stage"), list(_timings(report)), 3),
            f'<dl class="provenance facts">{definitions(_facts(report.source))}</dl></section>',
        )
    )


def _note(clip: ClipResult) -> str:
    parent = str(PurePath(clip.path).parent)
    where = "" if parent == "." else f"in {text(parent)}"
    return f'<p class="note">{where}</p>'


def _notice(clip: ClipResult) -> str:
    """What kept the clip from being scored whole, if anything did."""
    if clip.error is None:
        return ""
    words = "Not whole" if clip.value is not None else "Could not be scored"
    return f'<p class="notice">{words}: {text(clip.error)}</p>'


def _figures(report: VideoReport) -> Iterator[tuple[str, str]]:
    pooled = report.pooled
    assert pooled is not None
    if report.pooling.method not in ("mean", "worst-window", "p5"):  # those have a row anyway
        yield _METHOD_WORDS[report.pooling.method].capitalize(), verdict(pooled.score)
    yield "Mean", verdict(pooled.mean)
    yield "5th percentile", verdict(pooled.p5)
    yield f"Worst {report.pooling.window:g} s", verdict(pooled.worst_window.mean)
    yield "Worst frame", verdict(pooled.low)
    yield "Frames scored", f"{int(report.scored.sum()):,}"
    yield from _counted(report)


def _counted(report: VideoReport) -> Iterator[tuple[str, str]]:
    """Rows for what was not simply scored; none for what did not occur."""
    for flag, count in report.flag_counts().items():
        yield flag.capitalize(), f"{count:,}"
    if report.dropped:
        yield "Dropped", f"{report.dropped:,}"
    if report.gaps:
        yield "Lost", f"{sum(gap.seconds for gap in report.gaps):.1f} s"


def _flag_figures(report: VideoReport | None) -> str:
    return "" if report is None else f'<div class="summary">{figures(list(_counted(report)))}</div>'


def _histogram(report: VideoReport) -> str:
    return histogram.svg(report.score[report.scored].tolist(), "frame")


def _curve(report: VideoReport, marked: Sequence[int]) -> str:
    flags = "".join(f'<li class="flag-{flag}">{flag}</li>' for flag in report.flag_counts())
    kinds = [("bad", "bad segment", report.bad_segments), ("gap", "gap", report.gaps)]
    kinds += [("cut", "cut", report.shots[1:])]
    shown = "".join(f'<li class="{kind}">{words}</li>' for kind, words, found in kinds if found)
    return (
        '<div class="curve"><div class="bar"><h3>Score over time</h3>'
        '<p class="note readout number" aria-live="polite"></p>'
        '<button type="button" class="whole" hidden>Whole clip</button></div>'
        f'<div class="wide">{curve.svg(report, marked)}</div><ul class="legend">{shown}{flags}</ul></div>'
    )


def _thumbnails(clip: ClipResult, marked: Sequence[int]) -> dict[int, Thumbnail]:
    """A small picture for each frame of ``marked`` that can still be read, by its place."""
    report = clip.report
    if clip.source is None or report is None:
        return {}
    places = {float(report.pts[place]): place for place in marked}
    return {places[pts]: thumbnail(frame) for pts, frame in stills(clip.source, places.keys()).items()}


def _gallery(report: VideoReport, marked: Sequence[int], small: Mapping[int, Thumbnail]) -> str:
    if not small:
        return ""
    cards = "".join(_still(report, place, number, small.get(place)) for number, place in enumerate(marked, 1))
    return f'<h3>Lowest moments</h3><ol class="gallery stills">{cards}</ol>'


def _still(report: VideoReport, place: int, number: int, small: Thumbnail | None) -> str:
    score, pts = float(report.score[place]), float(report.pts[place])
    word = quality_word(score)
    picture = (
        "<span>no preview</span>"
        if small is None
        else f'<img src="{small.address}" width="{small.width}" height="{small.height}" '
        f'alt="frame at {pts:.2f} s">'
    )
    return (
        f'<li class="card" data-at="{pts:.4f}"><button type="button" class="picture">{picture}</button>'
        f'<div class="text"><p class="verdict word-{word}"><span class="place">{number}</span>'
        f'<span class="number">{score:.1f}</span><span>{word}</span></p>'
        f'<p class="name number">{timecode(pts)}</p>'
        f'<p class="name number">frame {int(report.index[place])}</p></div></li>'
    )


def _segments(title: str, segments: Sequence[Segment]) -> str:
    rows = [
        (
            timecode(segment.start),
            timecode(segment.end),
            f"{segment.mean:.1f}",
            f"{segment.low:.1f}",
            timecode(segment.low_at),
            str(segment.frames),
        )
        for segment in segments[:MAX_ROWS]
    ]
    if len(segments) > MAX_ROWS:
        title += f", the first {MAX_ROWS} of {len(segments)}"
    return table(title, ("From", "To", "Mean", "Lowest", "at", "Frames"), rows, 6)


def _gap(gap: Any) -> tuple[str, str, str]:
    return timecode(gap.start_pts), f"{gap.seconds:.2f}", text(gap.reason)


def _timings(report: VideoReport) -> Iterator[tuple[str, ...]]:
    """Median, 95th percentile and share of the work of each stage; waiting is no work."""
    spent = {stage: column[np.isfinite(column)] for stage, column in report.timings_ms.items()}
    total = sum(float(column.sum()) for stage, column in spent.items() if stage != "wait") or 1.0
    for stage, column in spent.items():
        if len(column):
            middle, high = np.percentile(column, (50, 95))
            share = "" if stage == "wait" else f"{column.sum() / total:.0%}"
            yield f"{middle:.2f}", f"{high:.2f}", share, text(stage)


def _facts(source: Mapping[str, Any]) -> dict[str, str]:
    """What the source is, in words."""
    facts = {label: str(source[key]) for key, label in _FACTS.items() if source.get(key)}
    if source.get("width"):
        facts["Size"] = f"{source['width']} × {source['height']}"
    if source.get("fps"):
        facts["Rate"] = f"{source['fps']:.4g} frames/s"
    if source.get("duration"):
        facts["Duration"] = timecode(source["duration"])
    if source.get("matrix"):
        facts["Range"] = "full" if source.get("full_range") else "limited"
    if source.get("rotation"):
        facts["Rotation"] = f"{source['rotation']}°"
    if source.get("interlaced"):
        facts["Fields"] = "interlaced, scored as stored"
    return facts
