"""Make clip.mp4 from the photographs beside this script: `python examples/make_clip.py`.

Three shots at 25 frames a second, each a window of 448 x 256 that moves over a photograph by whole pixels, so
that nothing is resampled. From 5 to 7 seconds the frames went through H.264 at CRF 44, from 9.5 to 10.5 they
are blurred, from 11 on in their right half only, and between the last two shots lies 0.4 s of black.
"""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageFilter

from crossiqa_edge.data.degradations.h26x import encode
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.report.movie import Movie

HERE = Path(__file__).parent
FPS, WIDTH, HEIGHT = 25, 448, 256
# Photograph, frames, where the window begins and ends (left, top).
SHOTS = (
    ("coffee.jpg", 100, (0, 0), (99, 110)),
    ("astronaut.jpg", 100, (10, 0), (60, 99)),
    ("rocket.jpg", 90, (10, 171), (99, 100)),
)
BLACK_AT, BLACK_FRAMES = 200, 10
COARSE = slice(125, 175)  # frames, through H.264 at CRF 44
BLURRED = slice(237, 262)
HALF_BLURRED = slice(275, 300)


def pan(name: str, count: int, begin: tuple[int, int], end: tuple[int, int]) -> list[Frame]:
    """``count`` windows on the way from ``begin`` to ``end``."""
    photo = np.asarray(Image.open(HERE / name).convert("RGB"))
    lefts, tops = (np.linspace(a, b, count).round().astype(int) for a, b in zip(begin, end, strict=True))
    return [
        np.ascontiguousarray(photo[top : top + HEIGHT, left : left + WIDTH])
        for left, top in zip(lefts, tops, strict=True)
    ]


def coarse(frames: list[Frame]) -> list[Frame]:
    """``frames`` as H.264 at a CRF of 44 leaves them."""
    stream = io.BytesIO(encode(frames, "libx264", {"crf": "44"}))
    with av.open(stream, format="h264") as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def blurred(frames: list[Frame], deviation: float, left: int = 0) -> list[Frame]:
    """``frames`` under a Gaussian blur with a ``deviation`` in pixels, from the column ``left`` on."""
    soft = [np.array(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(deviation))) for frame in frames]
    for sharp, frame in zip(frames, soft, strict=True):
        frame[:, :left] = sharp[:, :left]
    return soft


def main() -> None:
    frames = [frame for shot in SHOTS for frame in pan(*shot)]
    frames[BLACK_AT:BLACK_AT] = [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * BLACK_FRAMES
    frames[COARSE] = coarse(frames[COARSE])
    frames[BLURRED] = blurred(frames[BLURRED], 2.5)
    frames[HALF_BLURRED] = blurred(frames[HALF_BLURRED], 4, WIDTH // 2)
    with (HERE / "clip.mp4").open("wb") as stream, Movie(stream, FPS) as movie:
        for place, frame in enumerate(frames):
            movie.write(frame, place / FPS)


if __name__ == "__main__":
    main()
