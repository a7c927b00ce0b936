"""How often pictures are flagged: ``python -m crossiqa_edge.bench.flag_rates [FOLDER...]``.

Photographs, in the folders that are named, should not be; pages of text, screens, plots, noise and patterns,
made here from seeds and stored as PNG, JPEG and WebP, should be. Prints a Markdown table of shares, and what
the flags cost a picture.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from crossiqa_edge.errors import InputError, MissingDependencyError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.flags import FLAGS, picture_flags
from crossiqa_edge.imaging.gather import gather
from crossiqa_edge.imaging.sampling import Frame, sample

try:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingDependencyError("drawing plots", "bench") from error

Item = TypeVar("Item")

COUNT = 40  # of each kind
STORED: tuple[tuple[str, str, dict[str, int]], ...] = (
    ("PNG", "PNG", {}),
    ("JPEG 90", "JPEG", {"quality": 90}),
    ("JPEG 60", "JPEG", {"quality": 60}),
    ("WebP 80", "WEBP", {"quality": 80}),
)
_FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
_FACES = ("DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf", "DejaVuSans-Bold.ttf")
_WORDS = (
    "quality",
    "falls",
    "and",
    "rises",
    "with",
    "every",
    "frame",
    "while",
    "people",
    "read",
    "a",
    "screen",
)
_SIZES = ((1280, 720), (1920, 1080), (1024, 768), (640, 480))


def page(generator: np.random.Generator) -> Image.Image:
    """Lines of text, dark on light or light on dark."""
    width, height = _one(generator, ((800, 1000), (1240, 1754), *_SIZES[2:]))
    paper = int(_one(generator, (255, 255, 248, 30, 16)))
    image = Image.new("RGB", (width, height), (paper,) * 3)
    draw = ImageDraw.Draw(image)
    size = int(_one(generator, (11, 13, 16, 22, 30)))
    font = _font(generator, size)
    ink = (25,) * 3 if paper > 128 else (220,) * 3
    for top in range(20, height - 30, 3 * size // 2):
        colour = ink if generator.random() < 0.85 else _colour(generator)
        draw.text((20, top), _text(generator, width // (4 * size)), fill=colour, font=font)
    return image


def screen(generator: np.random.Generator) -> Image.Image:
    """A window: a bar, boxes and labels."""
    width, height = _one(generator, (*_SIZES, (390, 844)))
    image = Image.new("RGB", (width, height), (int(_one(generator, (245, 255, 240, 32, 40))),) * 3)
    draw = ImageDraw.Draw(image)
    font = _font(generator, int(_one(generator, (12, 14, 18))))
    draw.rectangle((0, 0, width, 48), fill=_colour(generator))
    for _ in range(generator.integers(8, 30)):
        left, top = int(generator.integers(width)), int(generator.integers(50, height))
        right, bottom = left + int(generator.integers(40, 300)), top + int(generator.integers(20, 120))
        draw.rounded_rectangle(
            (left, top, right, bottom), 8, fill=_colour(generator), outline=(120, 120, 120)
        )
        draw.text(
            (left + 6, top + 4), _text(generator, 3), fill=_one(generator, ("black", "white")), font=font
        )
    return image


def plot(generator: np.random.Generator) -> Image.Image:
    """A figure with lines, points, bars or a map of colours."""
    figure = Figure(
        figsize=_one(generator, ((8, 5), (6, 4), (10, 6))), dpi=int(_one(generator, (72, 100, 150)))
    )
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(title=_text(generator, 5))
    kind = generator.integers(4)
    if kind == 0:
        axes.plot(np.cumsum(generator.normal(size=(200, 4)), axis=0))
    elif kind == 1:
        x, y = generator.normal(size=(2, 300))
        axes.scatter(x, y, c=generator.random(300))
    elif kind == 2:
        axes.bar(range(12), generator.random(12))
    else:
        axes.imshow(np.cumsum(np.cumsum(generator.normal(size=(30, 40)), 0), 1), aspect="auto")
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return Image.open(stream).convert("RGB")


def noise(generator: np.random.Generator) -> Image.Image:
    """Grey or coloured, normal or even, around some level."""
    width, height = _one(generator, _SIZES)
    shape = (height, width, int(_one(generator, (1, 3))))
    spread = generator.uniform(8, 60)
    values = (
        generator.normal(0, spread, shape)
        if generator.random() < 0.5
        else generator.uniform(-1, 1, shape) * spread
    )
    return _from_values(values + generator.uniform(60, 200))


def pattern(generator: np.random.Generator) -> Image.Image:
    """Bars, a ramp or a chequerboard."""
    width, height = _one(generator, _SIZES)
    y, x = np.mgrid[:height, :width]
    step = int(generator.integers(4, 120))
    dark, light = np.sort(generator.integers(0, 256, (2, 3)), axis=0)
    share = (x // step % 2, y // step % 2, (x // step + y // step) % 2, x / width, y / height)[
        int(generator.integers(5))
    ]
    return _from_values(dark + share[..., None] * (light - dark + 20))


KINDS: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "pages of text": page,
    "screens": screen,
    "plots": plot,
    "noise": noise,
    "bars, ramps, boards": pattern,
}


def drawn(kind: str, stored: str, **options: int) -> Iterator[Frame]:
    """``COUNT`` seeded pictures of a kind, stored in a format and read again."""
    for seed in range(COUNT):
        stream = io.BytesIO()
        KINDS[kind](np.random.default_rng(seed)).save(stream, stored, **options)
        yield decode(stream.getvalue())


def photographs(folder: str) -> Iterator[Frame]:
    """The pictures in ``folder`` and below it; one that cannot be read is told and passed over."""
    for entry in gather([folder]):
        if isinstance(entry.source, str) and not entry.clip and (frame := _read(entry.source)) is not None:
            yield frame


def _read(path: str) -> Frame | None:
    try:
        return decode(path)
    except InputError as error:
        print(error, file=sys.stderr)
        return None


def row(name: str, frames: Iterable[Frame]) -> tuple[str, float]:
    """A line of the table, and the milliseconds that the flags took a picture, in the median."""
    counts, times = dict.fromkeys(FLAGS, 0), []
    for frame in frames:
        views = sample(frame)
        start = perf_counter()
        flags = picture_flags(frame.shape[:2], views)
        times.append(perf_counter() - start)
        for flag in flags:
            counts[flag] += 1
    shares = " | ".join(f"{count / max(len(times), 1):.1%}" for count in counts.values())
    return f"| {name} | {len(times)} | {shares} |", 1e3 * float(np.median(times or [0.0]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 2 where a folder has no picture, of which a row would say that none is flagged."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help="photographs, with all below it")
    folders: list[str] = parser.parse_args(arguments).folders
    for folder in folders:
        if next(photographs(folder), None) is None:
            print(f"{folder}: no picture that can be read; check the path", file=sys.stderr)
            return 2
    print(f"| pictures | n | {' | '.join(FLAGS)} |\n|---|---:{'|---:' * len(FLAGS)}|")
    taken = []
    sets = [(Path(folder).name, photographs(folder)) for folder in folders]
    for kind in KINDS:
        sets += [(f"{kind}, {name}", drawn(kind, stored, **options)) for name, stored, options in STORED]
    for name, frames in sets:
        line, milliseconds = row(name, frames)
        print(line, flush=True)
        taken.append(milliseconds)
    print(f"\nThe flags of one picture take {np.median(taken):.2f} ms.")
    return 0


def _one(generator: np.random.Generator, choices: Sequence[Item]) -> Item:
    return choices[int(generator.integers(len(choices)))]


def _from_values(values: npt.NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.broadcast_to(values, (*values.shape[:2], 3)).clip(0, 255).astype(np.uint8))


def _colour(generator: np.random.Generator) -> tuple[int, ...]:
    return tuple(generator.integers(0, 256, 3).tolist())


def _text(generator: np.random.Generator, words: int) -> str:
    return " ".join(_WORDS[index] for index in generator.integers(len(_WORDS), size=words))


def _font(generator: np.random.Generator, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_FONTS / str(_one(generator, _FACES)), size)


if __name__ == "__main__":
    sys.exit(main())
