"""What is no photograph is told from what is one, however it was stored, and photographs stay unflagged."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from crossiqa_edge.data.degradations import get
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.flags import FLAGS, is_graphics, luma_of, picture_flags
from crossiqa_edge.imaging.sampling import Frame, sample
from crossiqa_edge.imaging.testpattern import photo_like


def flags_of(picture: Frame, sampling: str = "fragments") -> tuple[str, ...]:
    return picture_flags(picture.shape[:2], sample(picture, sampling))


def page(paper: int, ink: int) -> Image.Image:
    """Lines of writing from edge to edge."""
    image = Image.new("RGB", (640, 480), (paper,) * 3)
    draw = ImageDraw.Draw(image)
    for top in range(8, 460, 24):
        draw.text(
            (10, top), f"line {top}: quality is judged by people " * 3, (ink,) * 3, ImageFont.load_default()
        )
    return image


def screen(seed: int) -> Image.Image:
    """Coloured boxes with labels on a plain ground."""
    generator = np.random.default_rng(seed)
    image = Image.new("RGB", (800, 600), (240, 240, 240))
    draw = ImageDraw.Draw(image)
    for left, top in generator.integers((0, 0), (760, 560), (25, 2)).tolist():
        draw.rounded_rectangle(
            (left, top, left + 150, top + 60), 8, tuple(generator.integers(0, 256, 3).tolist())
        )
        draw.text((left + 10, top + 20), "Save and close", (0, 0, 0), ImageFont.load_default())
    return image


def stored(image: Image.Image, kind: str, **options: int) -> Frame:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return decode(stream.getvalue())


@pytest.mark.parametrize("drawn", [page(255, 0), page(30, 220), screen(0), screen(1)])
@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("JPEG", {"quality": 80}), ("WEBP", {"quality": 80})]
)
def test_pages_and_screens_are_graphics(drawn: Image.Image, kind: str, options: dict[str, int]) -> None:
    assert flags_of(stored(drawn, kind, **options)) == ("graphics",)


def computed(kind: str) -> Frame:
    """480 x 640 values that a formula gives."""
    y, x = np.mgrid[:480, :640]
    values = {
        "noise": np.random.default_rng(0).integers(0, 256, (480, 640)),
        "bars": x // 80 * 30,
        "ramp": y * 255 // 479,
        "chequerboard": (x // 40 + y // 40) % 2 * 200,
    }[kind]
    return np.repeat(values[..., None], 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("kind", ["noise", "bars", "ramp", "chequerboard"])
@pytest.mark.parametrize("sampling", ["fragments", "crops"])
@pytest.mark.parametrize(
    ("stored_as", "options"), [("PNG", {}), ("JPEG", {"quality": 80}), ("WEBP", {"quality": 80})]
)
def test_what_a_formula_gives_is_synthetic(
    kind: str, sampling: str, stored_as: str, options: dict[str, int]
) -> None:
    picture = stored(Image.fromarray(computed(kind)), stored_as, **options)
    assert flags_of(picture, sampling) == ("synthetic",)


def test_two_shades_are_synthetic_where_neighbours_differ_as_in_a_photograph() -> None:
    y, x = np.mgrid[:480, :640]
    fine = np.repeat(((x // 5 + y // 5) % 2 * 200)[..., None], 3, axis=2).astype(np.uint8)
    assert flags_of(fine) == ("synthetic",)


@pytest.mark.parametrize(
    "name", ["tid_high_frequency_noise", "tid_dithered_colours", "gaussian_blur", "impulse_noise"]
)
@pytest.mark.parametrize("seed", range(3))
def test_no_degradation_makes_a_photograph_synthetic(name: str, seed: int) -> None:
    assert "synthetic" not in flags_of(get(name)(photo_like(seed, 360, 480), level=5, seed=0))


@pytest.mark.parametrize("sampling", ["fragments", "crops"])
@pytest.mark.parametrize("seed", range(4))
def test_photographs_are_not_flagged_however_harmed(seed: int, sampling: str) -> None:
    photo = photo_like(seed, 360, 480)
    night, haze = photo // 8 + 12, 170 + photo // 8
    blocky = stored(Image.fromarray(photo), "JPEG", quality=8)
    small = Image.fromarray(photo).resize((60, 45)).resize((480, 360), Image.Resampling.BICUBIC)
    for picture in (photo, night, haze, blocky, np.array(small)):
        assert flags_of(picture, sampling) == ()


@pytest.mark.parametrize("seed", range(3))
def test_photographs_behind_a_blind_or_dithered_under_a_white_sky_are_not_flagged(seed: int) -> None:
    photo = photo_like(seed, 480, 640)
    lines = photo.copy()
    lines[1::2] //= 2  # neighbours have little to do with each other downwards, but across
    noise = np.random.default_rng(seed).normal(0, 25, photo.shape[:2])
    dithered = np.clip(luma_of(photo) + noise, 0, 255).astype(np.uint8) // 32 * 32
    dithered[:60] = 224  # an eighth of the picture
    for picture in (lines, lines.swapaxes(0, 1), np.repeat(dithered[..., None], 3, axis=2)):
        assert flags_of(picture) == ()


@pytest.mark.parametrize(("lit", "blank"), [(2, True), (10, False)])
def test_a_logo_on_black_is_blank_and_a_lit_window_in_the_dark_is_not(lit: int, blank: bool) -> None:
    dark = np.zeros((224, 224, 3), np.uint8)
    dark[:, :lit] = photo_like(0, 224, 224)[:, :lit]
    assert ("blank" in flags_of(dark)) is blank


def test_blank_is_black_or_uniform_and_nothing_else() -> None:
    noise = np.random.default_rng(0).integers(0, 3, (300, 300, 3), np.uint8)
    assert flags_of(noise) == flags_of(noise + 120) == ("blank",)
    assert "blank" not in flags_of(
        np.repeat(np.tile(np.arange(300) // 3, (300, 1))[..., None], 3, 2).astype(np.uint8)
    )


@pytest.mark.parametrize(("height", "width", "tiny"), [(224, 224, False), (223, 800, True), (800, 223, True)])
def test_tiny_is_smaller_than_a_view(height: int, width: int, tiny: bool) -> None:
    assert ("tiny" in flags_of(photo_like(0, height, width))) is tiny


def test_flags_come_in_their_order_and_views_of_any_side_will_do() -> None:
    grey = np.full((40, 40, 3), 200, np.uint8)
    assert flags_of(grey) == FLAGS[:2]
    assert is_graphics(luma_of(sample(np.array(page(255, 0)), size=35 * 7)))


def test_luma_is_that_of_the_standard() -> None:
    colours = np.array([[[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]]], np.uint8)
    assert luma_of(colours)[0, 0].tolist() == pytest.approx([76.2, 149.7, 29.1, 255], abs=1.5)
