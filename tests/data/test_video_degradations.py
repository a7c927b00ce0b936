"""The degradations of video: H.26x, rescaling, combing, banding, lost packets."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from crossiqa_edge.data.degradations import LEVELS, Degradation, every, get, h26x
from crossiqa_edge.data.fidelity import psnr
from crossiqa_edge.errors import BackendError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.imaging.testpattern import photo_like

TYPES = every("video")
each_type = pytest.mark.parametrize("degradation", TYPES, ids=lambda item: item.name)


@pytest.fixture(scope="module")
def pictures() -> list[Frame]:
    return [photo_like(seed, 192, 256) for seed in range(6)]


def strictly_falls(degradation: Degradation, pictures: list[Frame]) -> bool:
    def mean(level: int) -> float:
        return float(np.mean([psnr(item, degradation(item, level, i)) for i, item in enumerate(pictures)]))

    values = [mean(level) for level in range(1, LEVELS + 1)]
    return all(milder > harsher for milder, harsher in pairwise(values))


def test_all_six() -> None:
    assert {item.name for item in TYPES} == {
        "video_h264",
        "video_h265",
        "video_rescale",
        "video_combing",
        "video_banding",
        "video_packet_loss",
    }


@each_type
def test_psnr_falls_strictly_with_the_level(degradation: Degradation, pictures: list[Frame]) -> None:
    assert strictly_falls(degradation, pictures)


@each_type
@pytest.mark.parametrize("shape", [(32, 32), (33, 61), (97, 130)])
def test_pure_seeded_and_of_the_same_shape(degradation: Degradation, shape: tuple[int, int]) -> None:
    picture = photo_like(5, *shape)
    before = picture.copy()
    for level in (1, 5):
        damaged = degradation(picture, level, seed=3)
        assert (damaged.shape, damaged.dtype) == (picture.shape, np.uint8)
        assert np.array_equal(damaged, degradation(picture, level, seed=3))
        assert np.array_equal(picture, before)


@each_type
def test_even_the_worst_is_still_this_picture_in_its_place(degradation: Degradation) -> None:
    picture = photo_like(5, 97, 131)
    damaged = degradation(picture, 5, seed=3)
    assert psnr(picture, damaged) > max(14, psnr(picture, picture[::-1]), psnr(picture, picture[:, ::-1]))


def test_combing_moves_every_other_row_only(pictures: list[Frame]) -> None:
    woven = get("video_combing")(pictures[0], 3)
    assert np.array_equal(woven[::2], pictures[0][::2])
    moved = woven[1::2].astype(int)
    original = pictures[0][1::2].astype(int)
    to_left = np.abs(moved[:, :-4] - original[:, 4:]).max()
    to_right = np.abs(moved[:, 4:] - original[:, :-4]).max()
    assert min(to_left, to_right) == 0


def test_combing_goes_either_way(pictures: list[Frame]) -> None:
    results = {get("video_combing")(pictures[0], 3, seed).tobytes() for seed in range(12)}
    assert len(results) == 2


def test_banding_makes_contours_of_a_gradient_and_spares_texture() -> None:
    gradient = np.tile(np.linspace(60, 120, 256).astype(np.uint8)[None, :, None], (64, 1, 3))
    assert len(np.unique(gradient)) == 61
    assert len(np.unique(get("video_banding")(gradient, 4)[:, 8:-8])) <= 5
    texture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert np.array_equal(get("video_banding")(texture, 5), texture)


def test_nal_units_are_cut_without_loss() -> None:
    frames = [photo_like(seed, 64, 96) for seed in range(2)]
    stream = h26x.encode(frames, "libx264", {"slices": "2", "tune": "zerolatency"})
    units = h26x.nal_units(stream)
    assert b"".join(units) == stream
    types = [h26x.h264_type(unit) for unit in units]
    assert {7, 8} < set(types)  # the parameter sets
    assert (types.count(5), types.count(1)) == (2, 2)


def test_a_lost_slice_is_concealed_from_the_frame_before() -> None:
    """The clip pans, so what is concealed comes from some px aside: some rows differ, others do not."""
    picture = photo_like(2, 256, 256)
    intact = h26x.decode_last(h26x.encode([picture], "libx264", {"crf": "24"}), "h264", picture)
    damaged = get("video_packet_loss")(picture, 5, seed=1)
    by_rows = np.abs(damaged.astype(int) - intact).mean((1, 2))
    assert by_rows.min() < 4
    assert by_rows.max() > 8


def test_a_stream_without_a_first_frame_is_refused() -> None:
    with pytest.raises(BackendError, match="h264 could show no picture"):
        h26x.decode_last(b"\x00\x00\x00\x01\x09\x10", "h264", photo_like(0, 32, 32))


def test_an_ffmpeg_without_the_encoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(h26x._ONE_THREAD, "libx999", {})
    with pytest.raises(BackendError, match="lacks libx999"):
        h26x.encode([photo_like(0, 64, 64)], "libx999", {})


def test_encoders_are_quiet(capfd: pytest.CaptureFixture[str], pictures: list[Frame]) -> None:
    for item in TYPES:
        item(pictures[0], 5)
    assert capfd.readouterr() == ("", "")


@pytest.mark.needs_data
@each_type
def test_psnr_falls_strictly_over_kodak(degradation: Degradation) -> None:
    folder = Path(os.environ.get("CROSSIQA_KODAK", "none"))
    if not (folder / "kodim01.png").is_file():
        pytest.skip("CROSSIQA_KODAK names no folder with the Kodak pictures")
    assert strictly_falls(
        degradation, [decode(folder / f"kodim{n:02d}.png")[:256, :256] for n in range(1, 17)]
    )
