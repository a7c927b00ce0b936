"""Many small pictures on one page, in labelled rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from crossiqa_edge.imaging.sampling import Frame

_GAP = 4  # px between pictures
_MARGIN = 12  # px around and between columns
_TEXT = 13  # px
_LINE = 18  # px a line of text takes
_TALLER = 1.4  # a page's height over its width, as A4 has it
_PAPER, _INK = (250, 250, 250), (30, 30, 30)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the sheet: a label above, pictures of one size beside each other below."""

    label: str
    pictures: Sequence[Frame]


def contact_sheet(rows: Sequence[Row], title: str) -> Image.Image:
    """An upright page with ``rows``, in as many columns as that takes, filled from top to bottom.

    Args:
        rows: at least one; all their pictures uint8 (H, W, 3) of one size, which is kept.
        title: one line at the top.

    Returns:
        an RGB picture.
    """
    font = ImageFont.load_default(_TEXT)
    height, width = rows[0].pictures[0].shape[:2]
    labels = max(math.ceil(font.getlength(row.label)) for row in rows)
    across = max(labels, max(len(row.pictures) for row in rows) * (width + _GAP) - _GAP)
    tall = _LINE + height + _GAP
    columns = max(1, round(math.sqrt(len(rows) * tall / (_TALLER * across))))
    down = -(-len(rows) // columns)
    wide = max(columns * (across + _MARGIN) - _MARGIN, math.ceil(font.getlength(title)))
    page = Image.new("RGB", (wide + 2 * _MARGIN, 2 * _MARGIN + _LINE + down * tall), _PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((_MARGIN, _MARGIN // 2), title, fill=_INK, font=font)
    for index, row in enumerate(rows):
        left = _MARGIN + index // down * (across + _MARGIN)
        top = _MARGIN + _LINE + index % down * tall
        draw.text((left, top), row.label, fill=_INK, font=font)
        for place, picture in enumerate(row.pictures):
            page.paste(Image.fromarray(picture), (left + place * (width + _GAP), top + _LINE))
    return page


def window(frame: Frame, height: int, width: int) -> Frame:
    """The middle ``height`` x ``width`` pixels, fewer where the picture has fewer: detail stays as it is."""
    top, left = (max(0, (frame.shape[axis] - side) // 2) for axis, side in ((0, height), (1, width)))
    return np.ascontiguousarray(frame[top : top + height, left : left + width])
