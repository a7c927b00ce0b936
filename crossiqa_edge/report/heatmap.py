"""Quality maps as pictures: red where a fragment lowers the score, blue where it raises it, and a scale."""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.imaging.sampling import GRID, Frame
from crossiqa_edge.report.movie import LONGEST_SIDE, Movie
from crossiqa_edge.video.again import frames_between
from crossiqa_edge.video.frames import VideoFrame
from crossiqa_edge.video.quality_map import QualityMap
from crossiqa_edge.video.report import VideoReport

MapOf = Callable[[Frame, bool], QualityMap]  # of a frame, uint8 (H, W, 3), and whether it is letterboxed
Track = Callable[[Iterator[VideoFrame]], Iterator[VideoFrame]]

_LEAST_REACH = 0.5  # points: smaller contributions are not blown up to look like large ones
_REFRESH = 0.5  # seconds for which a movie keeps a map
_SLACK = 1e-3  # seconds; a time stamp that went through a file and back
_LEAST_WIDTH = 512  # pixels: narrower frames are enlarged by whole pixels, or the scale would not fit
_LARGEST = LONGEST_SIDE * 10 // 11  # pixels of a side that is enlarged: a movie also holds the scale below
_PAPER, _INK, _QUIET = (250, 250, 250), (30, 30, 30), (90, 100, 114)
_EDGE = (255, 255, 255, 130)  # of a fragment
# Position from the lowest (-1) over nothing (0) to the highest (1) -> red, green, blue, opacity.
_RAMP = np.array(
    [
        [-1.0, 179, 30, 38, 0.8],
        [-0.4, 225, 90, 60, 0.55],
        [0.0, 250, 250, 250, 0.0],
        [0.4, 70, 145, 225, 0.55],
        [1.0, 25, 80, 170, 0.8],
    ]
)


def write_heatmap_picture(frame: Frame, found: QualityMap, path: str | os.PathLike[str], title: str) -> None:
    """Write a PNG: ``frame`` with ``found`` over it, below it the scale and ``title``.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    buffer = io.BytesIO()
    Image.fromarray(draw_heatmap(frame, found, reach_of([found]), title)).save(buffer, "PNG")
    with atomic_write(path) as stream:
        stream.write(buffer.getvalue())


def write_heatmap_movie(
    report: VideoReport, source: str, path: str | os.PathLike[str], map_of: MapOf, track: Track = iter
) -> None:
    """Write an MP4 of the scored part of ``source``, each frame under the map of its half second; no sound.

    The scale is the same for the whole clip. Frames that were flagged instead of scored have no map.

    Args:
        track: wraps the frames while their maps are made, to show progress.

    Raises:
        InputError: ``source`` cannot be read any more.
        BackendError: the runtime failed, or FFmpeg cannot write H.264.
        OutputError: ``path`` cannot be written.
    """
    first, last = float(report.pts[0]), float(report.pts[-1])
    begins: list[float] = []
    maps: list[QualityMap] = []
    for frame in track(frames_between(source, first, last)):
        place = _place(report, frame)
        if report.scored[place] and (not begins or frame.pts >= begins[-1] + _REFRESH):
            begins.append(frame.pts)
            maps.append(map_of(frame.rgb(), "letterboxed" in report.flags_of(place)))
    reach = reach_of(maps)
    with atomic_write(path) as stream, Movie(stream, report.source["fps"] or 25.0) as movie:
        for frame in frames_between(source, first, last):
            latest = bisect_right(begins, frame.pts) - 1
            found = maps[latest] if latest >= 0 and report.scored[_place(report, frame)] else None
            drawn = draw_heatmap(frame.rgb(), found, reach, f"{frame.pts:.2f} s")
            movie.write(drawn, frame.pts - first)


def _place(report: VideoReport, frame: VideoFrame) -> int:
    """Of the result that ``frame`` got, or, where it was passed over, the last frame before it."""
    return max(int(np.searchsorted(report.pts, frame.pts + _SLACK)) - 1, 0)


def reach_of(maps: Sequence[QualityMap]) -> float:
    """The largest contribution in ``maps`` of either sign, in points; at least ``_LEAST_REACH``."""
    return max([_LEAST_REACH, *(float(np.abs(found.contributions).max()) for found in maps)])


def draw_heatmap(frame: Frame, found: QualityMap | None, reach: float, title: str) -> Frame:
    """``frame`` in grey, over it the map, below it a line that says what the colours mean.

    Each cell of the grid is coloured by its fragment's contribution, and the fragment itself is outlined,
    unless it is larger than its cell, in small frames, where the outlines would cross.

    Args:
        found: None where the frame was not scored.
        reach: the contribution, in points, at which the colours end on either side of 0.
    """
    most = _LARGEST // max(frame.shape[:2])
    times = max(1, min(-(-_LEAST_WIDTH // frame.shape[1]), most))
    frame = np.repeat(np.repeat(frame, times, 0), times, 1)
    height, width = frame.shape[:2]
    shown = Image.fromarray(frame).convert("L").convert("RGBA")
    if found is not None:
        shown.alpha_composite(_layer(found, reach, times, width, height))
    size = max(height // 30, 13)
    page = Image.new("RGB", (width, height + 2 * size + size // 2), _PAPER)
    page.paste(shown.convert("RGB"))
    _legend(page, height, size, reach, title)
    return np.asarray(page)


def _layer(found: QualityMap, reach: float, times: int, width: int, height: int) -> Image.Image:
    """Cells and fragments on a clear ground, ``times`` as large as in the frame."""
    layer = Image.new("RGBA", (width, height))
    draw = ImageDraw.Draw(layer)
    colours = _coloured(found.contributions, reach)
    line = max(width // 640, 1)
    places = [(row, column) for row in range(GRID) for column in range(GRID)]
    for place in places:
        draw.rectangle(_corners(found.cell(*place), times), fill=tuple(colours[place].tolist()))
    for place in places:  # after all cells, since alignment moves fragments over their edges
        top, left, bottom, right = found.cell(*place)
        if found.tile <= min(bottom - top, right - left):
            draw.rectangle(_corners(found.fragment(*place), times), outline=_EDGE, width=line)
    return layer


def _corners(box: tuple[int, int, int, int], times: int) -> tuple[int, int, int, int]:
    """``box``, whose lower right edges are outside it, as left, top, right, bottom with those inside."""
    top, left, bottom, right = (edge * times for edge in box)
    return left, top, right - 1, bottom - 1


def _coloured(contributions: npt.NDArray[np.float64], reach: float) -> npt.NDArray[np.uint8]:
    """uint8 (h, w, 4): red, green, blue, opacity."""
    places = np.clip(contributions / reach, -1, 1)
    channels = [np.interp(places, _RAMP[:, 0], _RAMP[:, channel]) for channel in range(1, 5)]
    channels[3] = channels[3] * 255
    pixels: npt.NDArray[np.uint8] = np.rint(np.stack(channels, -1)).astype(np.uint8)
    return pixels


def _legend(page: Image.Image, top: int, size: int, reach: float, title: str) -> None:
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(size)
    base = top + int(1.55 * size)
    x = size // 2
    draw.text((x, base), f"-{reach:.1f}", fill=_INK, font=font, anchor="ls")
    x += int(draw.textlength("-10.0", font)) + size // 3
    bar = _coloured(np.linspace(-reach, reach, 6 * size)[None], reach)
    colours = Image.fromarray(np.repeat(bar, size, 0))
    page.paste(colours, (x, base - size + size // 8), colours)
    draw.rectangle((x, base - size + size // 8, x + 6 * size, base + size // 8), outline=_QUIET)
    x += 6 * size + size // 3
    draw.text((x, base), f"+{reach:.1f}", fill=_INK, font=font, anchor="ls")
    x += int(draw.textlength("+10.0", font)) + size // 2
    draw.text((x, base), f"points of 100 a fragment   {title}", fill=_QUIET, font=font, anchor="ls")
