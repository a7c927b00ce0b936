"""What ``crossiqa score`` gives besides its results: timings, the report, the overlay, the heat map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from crossiqa_edge.cli.console import complain, track
from crossiqa_edge.errors import ConfigError, InputError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.gather import Entry
from crossiqa_edge.imaging.sampling import GRID, Frame
from crossiqa_edge.report.result import ClipResult, Result
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.version import __version__
from crossiqa_edge.video.frames import VideoFrame
from crossiqa_edge.video.pooling import timecode
from crossiqa_edge.video.quality_map import QualityMap, box_of, quality_map

_WALKS, _WALKS_IN_MOVIES = 16, 8  # of a heat map; a movie has many, so each may be coarser
_STAGES = ("decode", "sample", "infer")


def print_timings(outcomes: Sequence[Result | ClipResult], load: float, elapsed: float) -> None:
    """Throughput, and what the stages took; decoding runs beside the rest, so shares are of the work."""
    pictures = [outcome.score for outcome in outcomes if isinstance(outcome, Result) and outcome.score]
    clips = [outcome.report for outcome in outcomes if isinstance(outcome, ClipResult) and outcome.report]
    count = len(pictures) + sum(clip.frames for clip in clips)
    what = "frames" if clips else "pictures"
    complain(
        f"{count} {what} in {elapsed:.2f} s, {count / elapsed:.1f} {what}/s; "
        f"model loaded in {1e3 * load:.0f} ms"
    )
    stages = {
        stage: sum(score.timings[stage] for score in pictures)
        + sum(float(np.nansum(clip.timings_ms.get(stage, 0.0))) for clip in clips)
        for stage in _STAGES
    }
    total = sum(stages.values()) or 1.0
    for stage, spent in stages.items():
        complain(f"  {stage:<8}{spent / total:5.0%}{spent / max(count, 1):9.2f} ms a {what[:-1]}")


def report_on(outcomes: Sequence[Result | ClipResult], path: Path, scorer: Scorer) -> None:
    """Write the HTML report."""
    from crossiqa_edge.report.write import write_report

    count = f"{scorer.views} view{'s' if scorer.views > 1 else ''} a picture"
    provenance = {
        "Model": scorer.card.identity,
        "Backend": scorer.backend.describe,
        "Sampling": f"{scorer.sampling}, {count}",
        "Made": f"{datetime.now():%Y-%m-%d %H:%M} by crossiqa-edge {__version__}",
    }
    pictures = [outcome for outcome in outcomes if isinstance(outcome, Result)]
    clips = [outcome for outcome in outcomes if isinstance(outcome, ClipResult)]
    write_report(path, pictures, clips, provenance, track=_thumbnail_bar, max_pixels=scorer.max_pixels)
    complain(f"report written to {path}")


def _thumbnail_bar(results: Sequence[Result]) -> Iterator[Result]:
    return track(results, "making thumbnails", len(results))


def _view_bar(views: Iterator[Frame]) -> Iterator[Frame]:
    return track(views, "exchanging fragments", GRID * GRID * _WALKS + 1)


def _frame_bar(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    return track(frames, "mapping frames", None)


def draw_overlay(outcome: Result | ClipResult, path: Path) -> None:
    """Write the copy of the clip with its scores on it.

    Raises:
        InputError: the clip had no score, or cannot be read twice.
    """
    from crossiqa_edge.report.overlay import write_overlay

    clip, source = _readable(outcome)
    assert clip.report is not None
    write_overlay(clip.report, source, path)
    complain(f"overlay written to {path}")


def check_overlay(entries: Sequence[Entry], path: Path) -> None:
    """Raise ConfigError unless an overlay of ``entries`` can be written to ``path``."""
    if len(entries) != 1 or not entries[0].clip:
        raise ConfigError("--overlay is a copy of one clip; name one clip and nothing else")
    if path.suffix.lower() != ".mp4":
        raise ConfigError(f"--overlay {path}: a copy of a clip is written as .mp4")


def check_heatmap(entries: Sequence[Entry], path: Path) -> None:
    """Raise ConfigError unless a heat map of ``entries`` can be written to ``path``."""
    kinds = (".png", ".mp4") if len(entries) == 1 and entries[0].clip else (".png",)
    if len(entries) != 1:
        raise ConfigError("--heatmap is of one picture or clip; name one and nothing else")
    if path.suffix.lower() not in kinds:
        raise ConfigError(f"--heatmap {path}: what it shows here is written as {' or '.join(kinds)}")


def check_fragments(scorer: Scorer) -> None:
    """Raise ConfigError unless ``scorer`` looks at one view of fragments, whose shares a heat map shows."""
    if scorer.sampling != "fragments":
        raise ConfigError(f"--heatmap shows fragments, not {scorer.sampling}; add --sampling fragments")
    if scorer.views > 1:
        raise ConfigError(f"--heatmap shows the fragments of one view, not of {scorer.views}; add --views 1")


def draw_heatmap(outcome: Result | ClipResult, path: Path, scorer: Scorer) -> None:
    """Write the heat map of a picture, of the worst frame of a clip (PNG), or of a whole clip (MP4).

    Raises:
        InputError: there was no score, or the clip cannot be read twice.
    """
    from crossiqa_edge.report.heatmap import write_heatmap_movie, write_heatmap_picture
    from crossiqa_edge.video.again import stills

    def map_of(frame: Frame, letterboxed: bool) -> QualityMap:
        box = box_of(frame) if letterboxed else None
        infer, size = scorer.backend.infer, scorer.card.view_size
        if path.suffix.lower() == ".mp4":
            return quality_map(frame, infer, size=size, walks=_WALKS_IN_MOVIES, box=box)
        return quality_map(frame, infer, size=size, walks=_WALKS, box=box, track=_view_bar)

    if isinstance(outcome, Result):
        if outcome.score is None or outcome.source is None:
            raise InputError(f"{outcome.path}: no score, so there is no heat map; see above for the reason")
        frame = decode(outcome.source, max_pixels=scorer.max_pixels)
        write_heatmap_picture(frame, map_of(frame, False), path, f"whole: {outcome.score.value:.1f}")
    else:
        clip, source = _readable(outcome)
        assert clip.report is not None and clip.report.pooled is not None
        if path.suffix.lower() == ".mp4":
            write_heatmap_movie(clip.report, source, path, map_of, track=_frame_bar)
        else:
            at = clip.report.pooled.low_at
            place = int(np.searchsorted(clip.report.pts, at))
            letterboxed = "letterboxed" in clip.report.flags_of(place)
            found = stills(source, [at])
            if at not in found:
                raise InputError(f"{clip.path}: its worst frame cannot be read again; give a file")
            title = f"frame at {timecode(at)}: {clip.report.pooled.low:.1f}"
            write_heatmap_picture(found[at], map_of(found[at], letterboxed), path, title)
    complain(f"heat map written to {path}")


def _readable(outcome: Result | ClipResult) -> tuple[ClipResult, str]:
    assert isinstance(outcome, ClipResult)
    if outcome.value is None:
        raise InputError(f"{outcome.path}: no score, so there is nothing to draw; see above for the reason")
    if outcome.source is None:
        raise InputError(f"{outcome.path}: drawing on it takes a second reading; save it to a file first")
    return outcome, outcome.source
