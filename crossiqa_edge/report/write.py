"""The report as one HTML file, on pictures, clips, or both."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from crossiqa_edge.atomic import write_text
from crossiqa_edge.imaging.decode import MAX_PIXELS
from crossiqa_edge.report.images import pictures_body
from crossiqa_edge.report.page import render
from crossiqa_edge.report.result import ClipResult, Result
from crossiqa_edge.report.video import clip_body

_READING = (
    "Scores run from 0 to 100, higher is better. The words are those of the five-point scale of "
    "ITU-R BT.500, each a fifth of the range."
)
_READING_PICTURES = (
    " The mark on a bar is the score; where there is a pale band, the human score lay inside a band of this "
    "width in nine of ten held-out pictures with such a score. A flag throws doubt on a score: people were "
    "asked about photographs, not about what is tiny, blank, graphics (text, a screen, a plot) or synthetic "
    "(noise, bars, a ramp)."
)
_READING_CLIPS = (
    " A clip is pooled over its scored frames alone: what is black, flat or frozen is flagged and not "
    "scored, and what was lost is a gap, never a frame."
)


def write_report(
    path: str | os.PathLike[str],
    pictures: Sequence[Result],
    clips: Sequence[ClipResult],
    provenance: Mapping[str, str],
    *,
    track: Callable[[Sequence[Result]], Iterable[Result]] = iter,
    max_pixels: int = MAX_PIXELS,
) -> None:
    """Write one self-contained HTML file about ``pictures`` and ``clips``.

    Args:
        path: the file; it appears whole or not at all.
        pictures, clips: scored and failed ones, in the order the user gave them.
        provenance: what produced the scores, as label and text, for the head of the page.
        track: wraps the pictures while their thumbnails are made, to show progress.
        max_pixels: the limit under which pictures were scored.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    write_text(path, report_page(pictures, clips, provenance, track=track, max_pixels=max_pixels))


def report_page(
    pictures: Sequence[Result],
    clips: Sequence[ClipResult],
    provenance: Mapping[str, str],
    *,
    track: Callable[[Sequence[Result]], Iterable[Result]] = iter,
    max_pixels: int = MAX_PIXELS,
) -> str:
    """The page that ``write_report`` writes."""
    body = "".join(map(clip_body, clips))
    reading = _READING
    if pictures:
        body += pictures_body(pictures, track=track, max_pixels=max_pixels)
        reading += _READING_PICTURES
    if clips:
        reading += _READING_CLIPS
    return render(_title(bool(pictures), bool(clips)), provenance, body, reading)


def _title(pictures: bool, clips: bool) -> str:
    if pictures and clips:
        return "Quality report"
    return "Video quality report" if clips else "Image quality report"
