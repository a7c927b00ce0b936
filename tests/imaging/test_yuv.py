"""The reference is FFmpeg's own conversion, asked for at its most exact."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from crossiqa_edge.errors import ConfigError, InputError
from crossiqa_edge.imaging.sampling import sample
from crossiqa_edge.imaging.yuv import MATRICES, Planes, sample_planes, to_rgb
from crossiqa_edge.video.planes import picture_of

H273_NUMBERS = {"bt601": 5, "bt709": 1, "bt2020": 9, "fcc": 4, "smpte240m": 7}
LAYOUTS = [
    *("yuv420p", "yuvj420p", "nv12", "nv21", "nv16", "nv24"),
    *("yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p", "yuva420p"),
    *("yuv420p9le", "yuv420p10le", "yuv422p10le", "yuv444p12le", "yuv420p14le", "yuv444p16le"),
    *("p010le", "p016le", "p210le"),
    *("yuyv422", "uyvy422", "yuv420p10be"),
]


def noise(height, width, layout, matrix="bt709", *, full_range=False, seed=0):
    """A frame of noise: every code and every edge of chroma is met."""
    generator = np.random.default_rng(seed)
    rgb = generator.integers(0, 256, (height, width, 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=layout)
    frame.time_base, frame.pts = Fraction(1, 25), 0
    frame.colorspace = H273_NUMBERS[matrix]
    frame.color_range = 2 if full_range else 1
    return frame


def by_ffmpeg(frame, matrix, *, full_range=False):
    """(H, W, 3) as FFmpeg's scaler makes it, chroma repeated and everything rounded rightly."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    flags = "neighbor+accurate_rnd+full_chroma_int+full_chroma_inp"
    levels = "full" if full_range else "limited"
    scale = f"flags={flags}:in_color_matrix={matrix}:in_range={levels}:out_range=full"
    chain = [
        source,
        graph.add("scale", scale),
        graph.add("format", "pix_fmts=rgb24"),
        graph.add("buffersink"),
    ]
    for one, following in pairwise(chain):
        one.link_to(following)
    graph.configure()
    graph.push(frame)
    return graph.pull().to_ndarray()


def difference(one, other):
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("full_range", [False, True])
def test_agrees_with_ffmpeg_to_one_code(layout, full_range):
    frame = noise(48, 64, layout, full_range=full_range)
    expected = by_ffmpeg(frame, "bt709", full_range=full_range or layout == "yuvj420p")
    assert difference(to_rgb(picture_of(frame)), expected) <= 1


@pytest.mark.parametrize("layout", ["gray", "gray10le"])
def test_grey_agrees_with_ffmpeg_where_it_is_full_range(layout):
    frame = noise(48, 64, layout, full_range=True)
    assert difference(to_rgb(picture_of(frame)), by_ffmpeg(frame, "bt709", full_range=True)) <= 1


def test_grey_that_says_it_is_of_limited_range_is_believed():
    """FFmpeg's scaler takes all grey for full range, though a decoder may have told it otherwise."""
    ramp = np.arange(16, 236, dtype=np.uint8)[None].repeat(32, axis=0)
    rgb = to_rgb(Planes(ramp, None, full_range=False))
    assert rgb[0, 0].tolist() == [0, 0, 0]
    assert rgb[0, -1].tolist() == [255, 255, 255]


@pytest.mark.parametrize("matrix", MATRICES)
def test_agrees_with_ffmpeg_in_every_matrix(matrix):
    frame = noise(48, 64, "yuv420p", matrix)
    assert difference(to_rgb(picture_of(frame)), by_ffmpeg(frame, matrix)) <= 1


def test_matrix_and_range_matter():
    """Otherwise the tests above would compare nothing."""
    planes = picture_of(noise(48, 64, "yuv444p"))
    assert difference(to_rgb(planes), to_rgb(replace(planes, matrix="bt601"))) > 10
    assert difference(to_rgb(planes), to_rgb(replace(planes, full_range=True))) > 10


@pytest.mark.parametrize(("height", "width"), [(49, 64), (48, 65), (51, 67)])
@pytest.mark.parametrize("layout", ["yuv420p", "nv12", "yuv422p", "yuv411p", "yuv420p10le"])
def test_odd_sides_are_those_of_the_even_picture_around_them(height, width, layout):
    """FFmpeg would stretch the chroma of an odd picture over it; here a sample stays on its block."""
    even = picture_of(noise(52, 68, layout))
    odd = even.cut(0, 0, height, width)
    assert odd.blocks == even.blocks
    np.testing.assert_array_equal(to_rgb(odd), to_rgb(even)[:height, :width])


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 47), (100, 90), (224, 224), (361, 643)])
@pytest.mark.parametrize("layout", ["yuv420p", "nv12", "yuv422p", "yuv444p", "yuv410p", "p010le", "gray"])
@pytest.mark.parametrize("views", [None, 5])
@pytest.mark.parametrize(
    ("sampling", "size"), [("fragments", 224), ("fragments", 448), ("fragments", 63), ("crops", 224)]
)
def test_sampling_first_and_converting_first_give_the_same_bits(height, width, layout, sampling, size, views):
    planes = picture_of(noise(height, width, layout))
    direct = sample_planes(planes, sampling, size=size, views=views)
    assert len(direct) == (views or {"fragments": 1, "crops": 5}[sampling])
    np.testing.assert_array_equal(direct, sample(to_rgb(planes), sampling, size=size, views=views))


@pytest.mark.parametrize("sampling", ["fragments", "crops"])
def test_several_views_of_a_large_frame_are_converted_alone(monkeypatch, sampling):
    """The way for small pictures, which converts the whole frame, is not taken: nothing else would notice."""
    planes = picture_of(noise(360, 640, "nv12"))
    expected = sample(to_rgb(planes), sampling, views=9)
    monkeypatch.setattr("crossiqa_edge.imaging.yuv.sample", None)
    np.testing.assert_array_equal(sample_planes(planes, sampling, views=9), expected)


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p", "nv12", "gray"])
def test_turning_planes_turns_the_picture(layout, quarters):
    planes = picture_of(noise(48, 64, layout))
    np.testing.assert_array_equal(to_rgb(planes.turned(quarters)), np.rot90(to_rgb(planes), quarters))


def test_planes_are_views_and_are_not_written_to():
    frame = noise(96, 128, "yuv420p")
    planes = picture_of(frame)
    address = planes.luma.__array_interface__["data"][0]
    assert address == frame.planes[0].buffer_ptr
    before = frame.to_ndarray()
    sample_planes(planes)
    to_rgb(planes)
    np.testing.assert_array_equal(frame.to_ndarray(), before)


def test_nv12_as_hardware_hands_it_over():
    frame = noise(48, 64, "nv12")
    packed = frame.to_ndarray()  # (72, 64)
    np.testing.assert_array_equal(to_rgb(Planes.from_nv12(packed)), to_rgb(picture_of(frame)))
    for wrong in (packed[:, :63], packed[:-1], packed[None], packed.astype(np.uint16)):
        with pytest.raises(InputError, match="NV12"):
            Planes.from_nv12(wrong)


def test_refuses_small_pictures_and_unknown_matrices():
    planes = picture_of(noise(48, 64, "yuv420p"))
    with pytest.raises(InputError, match="too few"):
        sample_planes(planes.cut(0, 0, 31, 64))
    with pytest.raises(ConfigError, match="ictcp"):
        to_rgb(replace(planes, matrix="ictcp"))
    with pytest.raises(ConfigError, match="mosaic"):
        sample_planes(planes, "mosaic")
    with pytest.raises(ConfigError, match="views must be at least 1, not -1"):
        sample_planes(planes, views=-1)
