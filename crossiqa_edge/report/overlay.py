"""A copy of a clip with its score and its curve burnt in, to be watched."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.report.movie import LONGEST_SIDE, Movie
from crossiqa_edge.score import quality_word
from crossiqa_edge.video.again import frames_between
from crossiqa_edge.video.report import VideoReport

_LEAST_HEIGHT = 360  # pixels: smaller clips are shown enlarged by whole pixels, or no text could be read
_COLOURS = {
    "excellent": (76, 201, 184),
    "good": (143, 203, 118),
    "fair": (223, 190, 76),
    "poor": (240, 160, 90),
    "bad": (242, 134, 125),
}
_INK, _SHADE = (255, 255, 255), (0, 0, 0, 150)
_SLACK = 1e-3  # seconds; a time stamp that went through a file and back


def write_overlay(report: VideoReport, source: str, path: str | os.PathLike[str]) -> None:
    """Write an MP4 of the scored part of ``source`` with score, word and curve on every frame; no sound.

    A flagged frame shows its flags in the number's place; one that was passed over shows what the last
    frame before it got.

    Args:
        source: what ``report`` is about, once more.

    Raises:
        InputError: ``source`` cannot be read any more.
        BackendError: FFmpeg cannot write H.264, or not of this size.
        OutputError: ``path`` cannot be written.
    """
    facts, first, last = report.source, float(report.pts[0]), float(report.pts[-1])
    scale = _enlargement(facts["width"], facts["height"])
    pen = _Pen(report, facts["width"] * scale, facts["height"] * scale)
    with atomic_write(path) as stream, Movie(stream, facts["fps"] or 25.0) as movie:
        for frame in frames_between(source, first, last):
            picture = np.repeat(np.repeat(frame.rgb(), scale, 0), scale, 1)
            movie.write(pen.on(picture, frame.pts), frame.pts - first)


def _enlargement(width: int, height: int) -> int:
    """How many times as large a clip is shown: not beyond what can be written, even if it stays low."""
    wanted = -(-_LEAST_HEIGHT // height)
    return max(1, min(wanted, LONGEST_SIDE // max(width, height)))


@dataclass
class _Pen:
    """Draws on frames of one size; what is the same on all of them is drawn once."""

    report: VideoReport
    width: int
    height: int

    def __post_init__(self) -> None:
        self._size = max(self.height // 12, 20)
        self._big = ImageFont.load_default(self._size)
        self._small = ImageFont.load_default(max(self._size * 0.55, 11))
        self._top = self.height - max(self.height // 6, 50)  # of the curve's strip
        self._span = max(float(self.report.pts[-1] - self.report.pts[0]), 1e-3)
        self._strip = self._curve()

    def on(self, picture: Frame, pts: float) -> Frame:
        """``picture`` with everything that belongs to the moment ``pts``."""
        image = Image.fromarray(picture)
        if image.size != (self.width, self.height):  # the resolution changed in mid-stream
            image = image.resize((self.width, self.height))
        image.paste(self._strip, (0, self._top), self._strip)
        draw = ImageDraw.Draw(image, "RGBA")
        place = max(int(np.searchsorted(self.report.pts, pts + _SLACK)) - 1, 0)
        x = self._x(pts)
        draw.line((x, self._top, x, self.height), fill=_INK, width=max(self.height // 360, 1))
        if self.report.scored[place]:
            self._dot(draw, place)
        self._label(draw, place)
        return np.asarray(image)

    def _dot(self, draw: ImageDraw.ImageDraw, place: int) -> None:
        score, radius = float(self.report.score[place]), max(self.height / 150, 3)
        x, y = self._x(float(self.report.pts[place])), self._top + self._y(score)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_COLOURS[quality_word(score)])

    def _label(self, draw: ImageDraw.ImageDraw, place: int) -> None:
        """Score and word, or the flags that stand in their place, in the upper left corner."""
        number, words, colour = "", ", ".join(self.report.flags_of(place)), _INK
        if self.report.scored[place]:
            score = float(self.report.score[place])
            number, words = f"{score:.1f}", quality_word(score)
            colour = _COLOURS[words]
        pad = self._size // 3
        edge = pad + (draw.textlength(number, self._big) + pad if number else 0)
        right = edge + draw.textlength(words, self._small) + pad
        draw.rectangle((0, 0, right, self._size + 2 * pad), fill=_SHADE)
        base = pad + self._size
        draw.text((pad, base), number, fill=_INK, font=self._big, anchor="ls")
        draw.text((edge, base), words, fill=colour, font=self._small, anchor="ls")

    def _curve(self) -> Image.Image:
        """The strip with the whole curve, each piece in the colour of its word."""
        strip = Image.new("RGBA", (self.width, self.height - self._top), _SHADE)
        draw = ImageDraw.Draw(strip)
        places = np.flatnonzero(self.report.scored)
        points = [
            (self._x(float(self.report.pts[place])), self._y(float(self.report.score[place])))
            for place in places
        ]
        for left, right, start, end in zip(places, places[1:], points, points[1:], strict=False):
            if right - left == 1:  # no line across what was flagged
                colour = _COLOURS[quality_word(float(self.report.score[right]))]
                draw.line((start, end), fill=colour, width=max(self.height // 240, 2))
        return strip

    def _x(self, pts: float) -> float:
        return (self.width - 1) * (pts - float(self.report.pts[0])) / self._span

    def _y(self, score: float) -> float:
        room = self.height - self._top - 8
        return 4 + room * (1 - score / 100)
