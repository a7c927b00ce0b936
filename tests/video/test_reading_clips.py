"""Clips of every awkward kind, encoded here: read rightly, or refused with a reason."""

import av
import numpy as np
import pytest
from PIL import Image
from video_clips import FPS, HEIGHT, WIDTH, encode, moving

from crossiqa_edge.errors import InputError
from crossiqa_edge.video.frames import VideoFrame
from crossiqa_edge.video.results import GapEvent
from crossiqa_edge.video.source import open_source


def read(path, **options):
    """(source, frames, gaps) of the whole."""
    source = open_source(path, **options)
    items = [(item.index, item.pts, item.rgb()) if isinstance(item, VideoFrame) else item for item in source]
    frames = [item for item in items if isinstance(item, tuple)]
    return source, frames, [item for item in items if isinstance(item, GapEvent)]


def times(frames):
    return [pts for _, pts, _ in frames]


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".mp4", "libx264"),
        (".mkv", "libx264"),
        (".ts", "libx264"),
        (".h264", "libx264"),
        (".mp4", "libx265"),
        (".avi", "mpeg4"),
        (".mpg", "mpeg2video"),
        (".y4m", "rawvideo"),
        (".mkv", "ffv1"),
        (".mov", "mjpeg"),
    ],
)
def test_reads_every_frame_in_order_of_presentation(tmp_path, suffix, codec):
    form = {".y4m": "yuv4mpegpipe", ".mpg": "mpeg"}.get(suffix)
    layout = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = encode(tmp_path / f"clip{suffix}", moving(30), codec=codec, layout=layout, form=form)
    source, frames, gaps = read(path)
    assert [index for index, _, _ in frames] == list(range(30))
    assert times(frames) == pytest.approx([index / FPS for index in range(30)], abs=0.002)
    assert source.end.status == "complete" and not gaps
    for (_, _, rgb), original in zip(frames, moving(30), strict=True):
        assert np.abs(rgb.astype(int) - original).mean() < 12  # a wrong order shows: neighbours differ more


def test_says_what_the_clip_is(tmp_path):
    facts = open_source(encode(tmp_path / "clip.mp4", moving(10), colour=(5, 2))).facts
    assert (facts.codec, facts.width, facts.height, facts.fps) == ("h264", WIDTH, HEIGHT, 25.0)
    assert (facts.frames, facts.duration, facts.pixel_format) == (10, pytest.approx(0.4), "yuvj420p")
    assert (facts.matrix, facts.full_range, facts.rotation) == ("bt601", True, 0)
    assert not facts.live and not facts.interlaced
    assert facts.decoder == "h264 in software, as asked"


def test_variable_frame_rate_is_kept(tmp_path):
    stamps = [0, 10, 200, 210, 1000, 1500, 4000]
    _, frames, gaps = read(encode(tmp_path / "clip.mkv", moving(7), stamps=stamps))
    assert times(frames) == pytest.approx([stamp / 1000 for stamp in stamps])
    source, frames, gaps = read(encode(tmp_path / "clip.mp4", moving(7), stamps=stamps))
    assert times(frames) == pytest.approx([stamp / 1000 for stamp in stamps])
    assert not gaps and source.end.status == "complete"  # long frames are meant: nothing was lost


def test_a_jump_in_time_is_a_gap(tmp_path):
    stamps = [index * 40 + (5000 if index >= 6 else 0) for index in range(12)]
    _, frames, gaps = read(encode(tmp_path / "clip.ts", moving(12), stamps=stamps))
    assert times(frames) == pytest.approx([stamp / 1000 for stamp in stamps], abs=0.001)
    assert [(gap.after_index, round(gap.start_pts, 2), round(gap.seconds, 2)) for gap in gaps] == [
        (5, 0.24, 5.0)
    ]


def test_joined_recordings_go_on_in_time(tmp_path):
    """A transport stream made of two whose clocks both begin at 0."""
    one = encode(tmp_path / "one.ts", moving(60)).read_bytes()
    (tmp_path / "both.ts").write_bytes(one + one)
    _, frames, gaps = read(tmp_path / "both.ts")
    assert len(frames) + len(gaps) == 120 and len(gaps) <= 1  # the packet at the seam counts as damaged
    assert np.diff(times(frames)).min() > 0
    assert times(frames)[-1] == pytest.approx(119 / FPS, abs=0.2)


@pytest.mark.parametrize(("height", "width"), [(HEIGHT + 1, WIDTH + 1), (33, 35), (99, 129)])
def test_odd_sides(tmp_path, height, width):
    frames = list(moving(4, height, width))
    path = encode(tmp_path / "clip.mkv", frames, codec="ffv1", layout="yuv420p")
    source, read_back, _ = read(path)
    assert (source.facts.width, source.facts.height) == (width, height)
    assert read_back[0][2].shape == (height, width, 3)
    assert np.abs(read_back[3][2].astype(int) - frames[3]).mean() < 12


@pytest.mark.parametrize("layout", ["yuv420p10le", "yuv422p10le", "yuv444p"])
def test_ten_bits_and_other_chroma(tmp_path, layout):
    codec = "libx264"
    frames = list(moving(4))
    _, read_back, _ = read(encode(tmp_path / "clip.mp4", frames, codec=codec, layout=layout))
    assert np.abs(read_back[3][2].astype(int) - frames[3]).mean() < 12


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(("number", "matrix"), [(1, "bt709"), (5, "bt601"), (9, "bt2020")])
def test_declared_colour_gives_back_the_colours(tmp_path, number, matrix, full_range):
    """Frames converted by FFmpeg in that colour come back as they were; a wrong matrix would shift them."""
    if matrix == "bt2020" and int(av.__version__.split(".")[0]) < 18:
        pytest.skip("this PyAV makes BT.601 of it")  # seen with 17.1: its luma is that of BT.601
    flat = np.zeros((64, 64, 3), np.uint8)
    flat[:32, :32], flat[:32, 32:], flat[32:, :32], flat[32:, 32:] = (
        (200, 30, 30),
        (30, 200, 30),
        (30, 30, 200),
        220,
    )
    frames = []
    for _ in range(2):
        rgb = av.VideoFrame.from_ndarray(flat, format="rgb24")
        frames.append(
            rgb.reformat(
                format="yuv444p",
                dst_colorspace=number,
                src_color_range=2,
                dst_color_range=2 if full_range else 1,
            )
        )
    colour = (number, 2 if full_range else 1)
    path = encode(tmp_path / "clip.mkv", frames, codec="ffv1", layout="yuv444p", colour=colour)
    source, read_back, _ = read(path)
    assert (source.facts.matrix, source.facts.full_range) == (matrix, full_range)
    assert np.abs(read_back[1][2].astype(int) - flat).max() <= 3  # FFmpeg's way there and ours back


@pytest.mark.parametrize(
    ("height", "width", "matrix"),
    [(576, 720, "bt601"), (576, 1024, "bt601"), (600, 1024, "bt709"), (534, 1280, "bt709")],
)
def test_undeclared_colour_goes_by_size(tmp_path, height, width, matrix):
    path = encode(tmp_path / "clip.mkv", moving(1, height, width), codec="ffv1")
    assert open_source(path).facts.matrix == matrix


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_metadata_is_applied(tmp_path, degrees):
    frames = list(moving(3))
    source, read_back, _ = read(encode(tmp_path / "clip.mp4", frames, rotation=degrees))
    upright = np.rot90(frames[2], degrees // 90)
    assert (source.facts.height, source.facts.width) == upright.shape[:2]
    assert source.facts.rotation == degrees
    assert np.abs(read_back[2][2].astype(int) - upright).mean() < 12


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_pictures_in_rgb_are_turned_as_those_in_yuv(tmp_path, degrees):
    frames = list(moving(2))
    path = encode(tmp_path / "clip.mov", frames, codec="png", layout="rgb24", rotation=degrees)
    np.testing.assert_array_equal(read(path)[1][1][2], np.rot90(frames[1], degrees // 90))


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotated_sides_need_only_suit_the_chroma(tmp_path, degrees):
    frames = list(moving(2, 98, 134))  # as 854 x 480: even, and no multiple of 4
    _, read_back, _ = read(encode(tmp_path / "clip.mp4", frames, rotation=degrees))
    upright = np.rot90(frames[1], degrees // 90)
    assert read_back[1][2].shape == upright.shape
    assert np.abs(read_back[1][2].astype(int) - upright).mean() < 12


def test_rotated_sides_that_cut_chroma_samples_are_refused(tmp_path):
    frames = moving(2, 99, 134)
    path = encode(tmp_path / "clip.mov", frames, codec="mjpeg", layout="yuvj420p", rotation=90)
    with pytest.raises(InputError, match="cut chroma samples"):
        open_source(path)


def test_interlaced_frames_are_told(tmp_path):
    path = encode(tmp_path / "clip.mp4", moving(4), options={"x264-params": "tff=1:interlaced=1"})
    source, frames, _ = read(path)
    assert source.facts.interlaced and len(frames) == 4


def test_a_change_of_size_in_mid_stream(tmp_path):
    one = encode(tmp_path / "one.h264", moving(13)).read_bytes()
    other = encode(tmp_path / "other.h264", moving(13, 64, 96)).read_bytes()
    (tmp_path / "both.h264").write_bytes(one + other)
    source, frames, gaps = read(tmp_path / "both.h264")
    assert [rgb.shape[:2] for _, _, rgb in frames] == [(HEIGHT, WIDTH)] * 13 + [(64, 96)] * 13
    assert source.end.status == "complete" and not gaps


@pytest.mark.parametrize(("transfer", "name"), [("smpte2084", "PQ"), ("arib-std-b67", "HLG")])
def test_high_dynamic_range_is_refused(tmp_path, transfer, name):
    path = encode(
        tmp_path / "clip.mp4",
        moving(3),
        layout="yuv420p10le",
        options={"x264-params": f"transfer={transfer}:colorprim=bt2020:colormatrix=bt2020nc"},
    )
    with pytest.raises(InputError, match=rf"{name}.*tone-map"):
        open_source(path)


def test_an_unknown_matrix_is_refused(tmp_path):
    path = encode(tmp_path / "clip.mp4", moving(3), options={"x264-params": "colormatrix=YCgCo"})
    with pytest.raises(InputError, match="matrix 8"):
        open_source(path)


def test_a_rotation_by_no_right_angle_is_refused(tmp_path):
    path = encode(tmp_path / "clip.mp4", moving(3), rotation=30)
    with pytest.raises(InputError, match="rotate its pixels"):
        open_source(path)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".h264"])
@pytest.mark.parametrize("start", [0.2, 1.0, 2.3, 99.0])
def test_seeking_never_lands_after_the_start(tmp_path, suffix, start):
    path = encode(tmp_path / f"clip{suffix}", moving(60))
    source, frames, gaps = read(path, start=start)
    assert times(frames)[0] <= start and times(frames)[-1] == pytest.approx(59 / FPS, abs=0.001)
    assert source.end.status == "complete" and not gaps


def test_a_folder_of_pictures(tmp_path):
    for index, frame in enumerate(moving(11)):
        Image.fromarray(frame).save(tmp_path / f"{index}.png")
    (tmp_path / "4.png").write_bytes(b"damaged")
    encode(tmp_path / "3.mp4", moving(2))  # no picture
    source, frames, gaps = read(tmp_path, folder_fps=10)
    assert [index for index, _, _ in frames] == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]  # natural order: 10 is last
    assert times(frames)[-1] == pytest.approx(1.0)
    np.testing.assert_array_equal(frames[-1][2], list(moving(11))[10])
    assert [(gap.after_index, gap.seconds) for gap in gaps] == [(3, pytest.approx(0.1))]
    assert source.end.status == "damaged"


def test_a_folder_of_clips_alone_is_refused(tmp_path):
    encode(tmp_path / "clip.mp4", moving(2))
    with pytest.raises(InputError, match="give the clips"):
        open_source(tmp_path)


def test_the_test_pattern_runs_until_it_is_closed():
    source = open_source("testpattern:64x48@50")
    indices = []
    for frame in source:
        assert frame.rgb().shape == (48, 64, 3)
        assert frame.pts == frame.index / 50
        indices.append(frame.index)
        if len(indices) == 300:
            source.close()
    assert indices == list(range(300)) and source.end.status == "stopped"
    for wrong in ("testpattern:8x8", "testpattern:wide", "testpattern:64x48@0"):
        with pytest.raises(InputError, match="testpattern"):
            open_source(wrong)


def test_a_small_picture_in_a_folder_is_a_gap(tmp_path):
    for index, side in enumerate((48, 48, 20, 48)):
        Image.fromarray(next(moving(1, side, side, seed=index))).save(tmp_path / f"{index}.png")
    source, frames, gaps = read(tmp_path, folder_fps=10)
    assert [index for index, _, _ in frames] == [0, 1, 3]
    assert [(gap.after_index, gap.start_pts) for gap in gaps] == [(1, pytest.approx(0.2))]
    assert "2.png: 20 x 20 pixels are too few" in gaps[0].reason
    assert (source.end.status, source.end.reason) == ("damaged", gaps[0].reason)


def test_a_matroska_file_that_begins_late_is_whole(tmp_path):
    stamps = [5000 + 40 * index for index in range(30)]
    source, frames, gaps = read(encode(tmp_path / "clip.mkv", moving(30), stamps=stamps))
    assert source.facts.duration > 6  # its header counts from 0
    assert (source.end.status, gaps) == ("complete", [])
    assert times(frames) == pytest.approx([index / FPS for index in range(30)], abs=0.002)


@pytest.mark.parametrize("frames_between", ["0", "2"])
@pytest.mark.parametrize("start", [None, 0.5])
def test_avi_goes_from_picture_to_picture(tmp_path, frames_between, start):
    """It tells no time at which a picture is shown, and with B-frames FFmpeg's guesses are out of order."""
    options = {"bf": frames_between, "preset": "medium"}
    source, frames, gaps = read(encode(tmp_path / "clip.avi", moving(30), options=options), start=start)
    assert times(frames) == pytest.approx([index / FPS for index in range(30)], abs=0.0005)
    assert (source.end.status, gaps) == ("complete", [])
