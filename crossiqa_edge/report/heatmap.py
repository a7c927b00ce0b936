"""Quality maps as pictures: red where quality is lost, clear where it is best, with a scale below."""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.report.movie import Movie
from crossiqa_edge.video.again import frames_between
from crossiqa_edge.video.quality_map import QualityMap
from crossiqa_edge.video.report import VideoReport

Range = tuple[float, float]  # of scores, the worst and the best

_LEAST_RANGE = 10.0  # points: smaller differences are not blown up to look like large ones
_REFRESH = 0.5  # seconds for which a movie keeps a map
_LEAST_WIDTH = 480  # pixels: narrower frames are enlarged by whole pixels, or the scale would not fit
_PAPER, _INK, _QUIET = (250, 250, 250), (30, 30, 30), (90, 100, 114)
# Position from worst (0) to best (1) -> red, green, blue, opacity.
_RAMP = np.array(
    [
        [0.0, 179, 30, 38, 0.75],
        [0.4, 232, 120, 40, 0.6],
        [0.75, 245, 205, 90, 0.35],
        [1.0, 245, 225, 150, 0.0],
    ]
)


def write_heatmap_picture(frame: Frame, found: QualityMap, path: str | os.PathLike[str], title: str) -> None:
    """Write a PNG: ``frame`` with ``found`` over it, below it the scale and ``title``.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    buffer = io.BytesIO()
    Image.fromarray(draw_heatmap(frame, found, range_of([found]), title)).save(buffer, "PNG")
    with atomic_write(path) as stream:
        stream.write(buffer.getvalue())


def write_heatmap_movie(
    report: VideoReport,
    source: str,
    path: str | os.PathLike[str],
    map_of: Callable[[Frame], QualityMap],
) -> None:
    """Write an MP4 of the scored part of ``source``, each frame under the map of its half second; no sound.

    The scale is the same for the whole clip.

    Raises:
        InputError: ``source`` cannot be read any more.
        BackendError: the runtime failed, or FFmpeg cannot write H.264.
        OutputError: ``path`` cannot be written.
    """
    first, last = float(report.pts[0]), float(report.pts[-1])
    begins: list[float] = []
    maps: list[QualityMap] = []
    for frame in frames_between(source, first, last):
        if not begins or frame.pts >= begins[-1] + _REFRESH:
            begins.append(frame.pts)
            maps.append(map_of(frame.rgb()))
    scale = range_of(maps)
    with atomic_write(path) as stream, Movie(stream, report.source["fps"] or 25.0) as movie:
        for frame in frames_between(source, first, last):
            found = maps[bisect_right(begins, frame.pts) - 1]
            drawn = draw_heatmap(frame.rgb(), found, scale, f"{frame.pts:.2f} s")
            movie.write(drawn, frame.pts - first)


def range_of(maps: Sequence[QualityMap]) -> Range:
    """The lowest and highest score in ``maps``, taken apart to ``_LEAST_RANGE`` if they are closer."""
    low = min(float(found.scores.min()) for found in maps)
    high = max(float(found.scores.max()) for found in maps)
    widen = max(_LEAST_RANGE - (high - low), 0) / 2
    return max(low - widen, 0.0), min(high + widen, 100.0)


def draw_heatmap(frame: Frame, found: QualityMap, scale: Range, title: str) -> Frame:
    """``frame`` in grey with the map in colour over it, and a line below that says what the colours mean."""
    times = -(-_LEAST_WIDTH // frame.shape[1])
    frame = np.repeat(np.repeat(frame, times, 0), times, 1)
    height, width = frame.shape[:2]
    colours = _coloured(found.scores, scale)
    layer = Image.fromarray(colours).resize((width, height), Image.Resampling.BICUBIC)
    shown = Image.fromarray(frame).convert("L").convert("RGBA")
    shown.alpha_composite(layer)
    size = max(height // 30, 13)
    page = Image.new("RGB", (width, height + 2 * size + size // 2), _PAPER)
    page.paste(shown.convert("RGB"))
    _legend(page, height, size, found, scale, title)
    return np.asarray(page)


def _coloured(scores: npt.NDArray[np.float64], scale: Range) -> npt.NDArray[np.uint8]:
    """uint8 (h, w, 4): red, green, blue, opacity."""
    low, high = scale
    places = np.clip((scores - low) / (high - low), 0, 1)
    channels = [np.interp(places, _RAMP[:, 0], _RAMP[:, channel]) for channel in range(1, 5)]
    channels[3] = channels[3] * 255
    pixels: npt.NDArray[np.uint8] = np.rint(np.stack(channels, -1)).astype(np.uint8)
    return pixels


def _legend(page: Image.Image, top: int, size: int, found: QualityMap, scale: Range, title: str) -> None:
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(size)
    low, high = scale
    base = top + int(1.55 * size)
    x = size // 2
    draw.text((x, base), f"{low:.0f}", fill=_INK, font=font, anchor="ls")
    x += int(draw.textlength("100", font)) + size // 2
    bar = _coloured(np.linspace(low, high, 6 * size)[None], scale)
    colours = Image.fromarray(np.repeat(bar, size, 0))
    page.paste(colours, (x, base - size + size // 8), colours)
    draw.rectangle((x, base - size + size // 8, x + 6 * size, base + size // 8), outline=_QUIET)
    x += 6 * size + size // 2
    draw.text((x, base), f"{high:.0f}", fill=_INK, font=font, anchor="ls")
    x += int(draw.textlength("100", font)) + size
    words = f"score of each {found.side} x {found.side} window   {title}"
    draw.text((x, base), words, fill=_QUIET, font=font, anchor="ls")
