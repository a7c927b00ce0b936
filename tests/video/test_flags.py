import numpy as np
import pytest
from video_clips import moving

from crossiqa_edge.imaging.flags import is_black, is_flat
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.imaging.yuv import Planes
from crossiqa_edge.video.flags import Bars, Cuts, Freeze
from crossiqa_edge.video.frames import VideoFrame


def frame_of(picture, index=0):
    return VideoFrame(index, index / 25, picture)


def barred(picture, above=0, beside=0, level=0):
    """``picture`` with so many rows and columns blackened at both sides."""
    height, width = picture.shape[:2]
    shown = np.full_like(picture, level)
    box = (slice(above, height - above), slice(beside, width - beside))
    shown[box] = picture[box]
    return shown


def found(*pictures, cuts=()):
    bars = Bars()
    boxes = []
    for index, picture in enumerate(pictures):
        frame = frame_of(picture, index)
        boxes.append(bars.picture(frame, frame.luma(), cut=index in cuts))
    return boxes


@pytest.mark.parametrize("depth", [8, 10])
def test_luma_is_full_range_whatever_the_planes_are(depth):
    ramp = np.linspace(16, 235, 96).repeat(64).reshape(96, 64)
    plane = np.rint(ramp * 2 ** (depth - 8)).astype(np.uint8 if depth == 8 else np.uint16)
    luma = frame_of(Planes(plane, None, depth=depth)).luma()
    assert luma.dtype == np.uint8 and luma.min() == 0 and luma.max() == 255


def test_luma_is_a_small_sample_of_any_frame():
    for height, width in ((32, 32), (1080, 1920), (2160, 3840), (64, 5000)):
        luma = frame_of(np.zeros((height, width, 3), np.uint8)).luma()
        assert max(luma.shape) <= 128 and luma.size >= 64


def test_black_and_flat():
    generator = np.random.default_rng(0)
    luma = frame_of(photo_like(1, 96, 128)).luma()
    assert not is_black(luma) and not is_flat(luma)
    codec_noise = generator.integers(0, 8, luma.shape).astype(np.uint8)
    assert is_black(codec_noise)
    with_logo = codec_noise.copy()
    with_logo[:9, :12] = 200  # 1 % of the frame
    assert is_black(with_logo)
    night = np.clip(luma // 4, 0, 255)
    assert not is_black(night)
    assert is_flat(np.uint8(128) + generator.integers(0, 3, luma.shape).astype(np.uint8))
    assert not is_flat(np.tile(np.arange(100, 128, dtype=np.uint8), (96, 4)))  # a soft gradient


def test_only_an_identical_frame_is_frozen():
    one, other = frame_of(photo_like(1, 96, 128)), frame_of(photo_like(1, 96, 128).copy())
    noisy = other.picture.copy()
    noisy[:, :, 1] ^= 1
    freeze = Freeze()
    shown = (one, other, frame_of(noisy), other, other)
    assert [freeze.repeats(frame.luma(), frame.views()) for frame in shown] == [
        False,
        True,
        False,
        False,
        True,
    ]


def test_a_change_between_the_points_of_the_small_sample_thaws_a_frame():
    one = frame_of(photo_like(1, 300, 400))
    other = frame_of(one.picture.copy())
    other.picture[::4] ^= 1
    np.testing.assert_array_equal(one.luma(), other.luma())
    freeze = Freeze()
    assert [freeze.repeats(frame.luma(), frame.views()) for frame in (one, other)] == [False, False]


def beginnings(pictures):
    """Numbers of the pictures that begin a shot."""
    cuts = Cuts()
    return [index for index, picture in enumerate(pictures) if cuts.begins(frame_of(picture).luma())]


def test_cuts_are_found_where_shots_are_joined():
    assert beginnings([*moving(20, seed=1), *moving(20, seed=5), *moving(20, seed=9)]) == [20, 40]


def test_a_cut_makes_the_next_one_no_harder_to_see():
    noise = np.random.default_rng(0).integers(0, 19, (96, 128, 3), np.uint8)
    shots = [noise + np.uint8(20 * level + 20) for level in range(9)]
    assert beginnings(shots) == list(range(1, 9))


def test_a_fast_pan_and_a_fade_are_no_cuts():
    wide = photo_like(4, 96, 2000)
    pan = [wide[:, x : x + 128] for x in range(0, 1800, 24)]  # a fifth of the width in each frame
    fade = [np.uint8(pan[-1] * (1 - share)) for share in np.linspace(0, 1, 25)]
    assert beginnings(pan + fade) == []


def test_a_change_of_size_begins_a_shot():
    small, large = photo_like(1, 96, 128), photo_like(1, 192, 200)
    assert beginnings([small, large, large]) == [1]


@pytest.mark.parametrize("level", [0, 10])
def test_bars_are_found_to_the_block(level):
    picture = photo_like(2, 360, 640)
    assert found(picture) == [None]
    assert found(barred(picture, above=45, level=level)) == [(48, 0, 312, 640)]
    assert found(barred(picture, beside=80, level=level)) == [(0, 80, 360, 560)]
    assert found(barred(picture, above=40, beside=80, level=level)) == [(40, 80, 320, 560)]


def test_uneven_thin_and_grey_edges_are_no_bars():
    picture = photo_like(2, 360, 640)
    one_sided = picture.copy()
    one_sided[:60] = 0
    assert found(one_sided) == [None]
    assert found(barred(picture, above=4)) == [None]
    assert found(barred(picture, above=45, level=40)) == [None]


def test_bars_do_not_close_in_on_a_dark_scene_but_a_cut_begins_anew():
    lit = barred(photo_like(2, 360, 640), above=40)
    dark = barred(lit, above=100)
    whole = photo_like(3, 360, 640)
    kept = (40, 0, 320, 640)
    assert found(dark, lit, dark) == [(104, 0, 256, 640), kept, kept]
    assert found(lit, whole, lit) == [kept, None, None]
    assert found(whole, lit, cuts=(1,)) == [None, kept]
