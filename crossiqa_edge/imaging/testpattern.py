"""Made-up pictures with the statistics of photographs, for where no photograph may be assumed.

Degradations, samplers and training need input that behaves as a photograph does under blur, noise and
block codecs. Three properties of natural pictures decide that, and each is built in: the amplitude
spectrum falls as 1/f (Field, J. Opt. Soc. Am. A 4, 1987); things occlude each other with sharp edges
(the dead-leaves model, Lee, Mumford and Huang, IJCV 41, 2001); and the three colour channels are
strongly correlated.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crossiqa_edge.imaging.sampling import Frame

_Plane = npt.NDArray[np.float32]
_Box = tuple[slice, slice]

_OBJECTS = 14
_TINT = 0.3  # how strongly an object's tint departs from grey


def photo_like(seed: int, height: int, width: int) -> Frame:
    """A picture that differs with ``seed`` only: uint8 (height, width, 3) RGB, sides of at least 1.

    Equal arguments give equal pictures. From far to near: a sky-like gradient
    under a 1/f cloud, occluding shaded and textured objects, a finely hatched panel, and dark strokes on
    a light sheet as text has them.
    """
    generator = np.random.default_rng([seed, height, width])
    picture = _backdrop(generator, height, width)
    texture = _cloud(generator, height, width, slope=0.9)
    for index in range(_OBJECTS):
        _draw_object(picture, texture, generator, size=0.55 * 0.86**index)
    _draw_hatching(picture, generator)
    _draw_writing(picture, generator)
    picture += texture[..., None]
    frame: Frame = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
    return frame


def _cloud(generator: np.random.Generator, height: int, width: int, slope: float) -> _Plane:
    """Noise (H, W) of mean 0 and deviation 1 whose amplitude spectrum falls as 1/f**slope."""
    power = np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width)[None] ** 2
    power[0, 0] = np.inf  # no constant part
    random = generator.standard_normal((2, *power.shape), np.float32)
    spectrum = (random[0] + 1j * random[1]) * power.astype(np.float32) ** np.float32(-slope / 2)
    plane: _Plane = np.fft.irfft2(spectrum, s=(height, width)).astype(np.float32)
    plane /= np.float32(plane.std() + 1e-6)
    return plane


def _backdrop(generator: np.random.Generator, height: int, width: int) -> _Plane:
    """Gradient and cloud (H, W, 3), 0..255: a strong common part, a weak one for each colour axis."""
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    down, across = generator.uniform(-35, 35, 2).astype(np.float32)
    luma = generator.uniform(95, 160) + down * y + across * x + 26 * _cloud(generator, height, width, 1.4)
    warm = generator.uniform(-12, 12) + 7 * _cloud(generator, height, width, 1.5)
    return np.stack([luma + warm, luma, luma - warm], axis=-1).astype(np.float32)


def _draw_object(picture: _Plane, texture: _Plane, generator: np.random.Generator, size: float) -> None:
    """One rotated ellipse or box with an edge one pixel wide, its own tint, shading and texture."""
    height, width = picture.shape[:2]
    reach = size * min(height, width) / 2
    centre_y, centre_x = generator.uniform(0, 1, 2) * (height, width)
    half_y, half_x = reach * generator.uniform(0.35, 1, 2) + 1
    round_one = generator.random() < 0.6
    angle = generator.uniform(0, np.pi)
    grey = generator.uniform(30, 195)
    tint = grey * (1 + _TINT * generator.uniform(-1, 1, 3))
    shade, grain = generator.uniform(10, 35), generator.choice([0.0, 3.0, 8.0])

    box = _box(centre_y, centre_x, 1.5 * reach + 2, height, width)
    y = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None] - np.float32(centre_y)
    x = np.arange(box[1].start, box[1].stop, dtype=np.float32)[None] - np.float32(centre_x)
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u = (cosine * x + sine * y) / np.float32(half_x)
    v = (cosine * y - sine * x) / np.float32(half_y)
    radius = np.sqrt(u * u + v * v) if round_one else np.maximum(np.abs(u), np.abs(v))
    cover = np.clip((1 - radius) * min(half_y, half_x) + 0.5, 0, 1)[..., None]
    surface = tint + (-shade * (u + v) + grain * texture[box])[..., None]
    picture[box] += cover * (surface - picture[box])


def _draw_hatching(picture: _Plane, generator: np.random.Generator) -> None:
    """A panel of parallel lines whose period grows from 3 pixels, as cloth, grass or fences have."""
    height, width = picture.shape[:2]
    centre_y, centre_x = generator.uniform(0.2, 0.8, 2) * (height, width)
    box = _box(centre_y, centre_x, min(height, width) / 8, height, width)
    rows = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None]
    columns = np.arange(box[1].start, box[1].stop, dtype=np.float32)[None]
    along = np.cos(0.4) * (rows - box[0].start) + np.sin(0.4) * (columns - box[1].start)
    growth = 9 / (height + width)  # pixels of period a pixel
    phase = 2 * np.pi / growth * np.log1p(growth * along / 3)
    picture[box] += (28 * np.sin(phase))[..., None].astype(np.float32)


def _draw_writing(picture: _Plane, generator: np.random.Generator) -> None:
    """Lines of short upright and level strokes, dark on a light sheet."""
    height, width = picture.shape[:2]
    centre_y, centre_x = generator.uniform(0.2, 0.8, 2) * (height, width)
    box = _box(centre_y, centre_x, min(height, width) / 7, height, width)
    sheet = picture[box]
    sheet[:] = 215 + 0.1 * (sheet - 128)
    for top in range(3, sheet.shape[0] - 8, 11):
        for left in range(3, sheet.shape[1] - 6, 7):
            if generator.random() < 0.15:
                continue  # a gap between words
            upright, level = generator.integers(0, 4, 2)
            sheet[top : top + 7, left + upright] = 45
            sheet[top + 2 * level, left : left + 5] = 45


def _box(centre_y: float, centre_x: float, reach: float, height: int, width: int) -> _Box:
    """The pixels within ``reach`` of a centre, clipped to the picture; possibly none."""
    rows = slice(max(int(centre_y - reach), 0), min(int(centre_y + reach) + 1, height))
    columns = slice(max(int(centre_x - reach), 0), min(int(centre_x + reach) + 1, width))
    return rows, columns
