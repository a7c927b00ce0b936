from __future__ import annotations

import numpy as np
import pytest

from crossiqa_edge.data.degradations import spatial
from crossiqa_edge.data.degradations.pixels import to_planes
from crossiqa_edge.imaging.testpattern import photo_like


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_warp_by_whole_and_half_pixels() -> None:
    planes = to_planes(photo_like(0, 40, 50))
    offsets = np.zeros((2, 40, 50), np.float32)
    assert np.array_equal(spatial.warp(planes, offsets), planes)
    offsets[0], offsets[1] = 2, -3
    assert spatial.warp(planes, offsets)[:, :-2, 3:] == pytest.approx(planes[:, 2:, :-3], abs=1e-6)
    offsets[0], offsets[1] = 0, 0.5
    between = (planes[:, :, 1:] + planes[:, :, :-1]) / 2
    assert spatial.warp(planes, offsets)[:, :, :-1] == pytest.approx(between, abs=1e-6)


def test_warp_beyond_the_border_reads_the_border() -> None:
    planes = to_planes(photo_like(0, 32, 32))
    far = np.full((2, 32, 32), 1000, np.float32)
    assert (spatial.warp(planes, far) == planes[:, -1:, -1:]).all()


def test_pixelate_keeps_as_many_rows_and_columns_as_its_scale_says() -> None:
    ramp = np.zeros((200, 100, 3), np.uint8)
    ramp[..., 0] = np.arange(200)[:, None]
    ramp[..., 1] = np.arange(100)
    coarse = spatial.pixelate(ramp, 0.5, generator())
    scale = 0.95 - 0.5**0.6
    assert np.unique(coarse[..., 0]).size == np.ceil(200 * scale)
    assert np.unique(coarse[..., 1]).size == np.ceil(100 * scale)
    assert np.abs(coarse.astype(int) - ramp).max() <= 0.5 / scale + 1


@pytest.mark.parametrize("shape", [(32, 32), (176, 176), (384, 512)])
def test_blocks_cover_the_published_share_whatever_the_size(shape: tuple[int, int]) -> None:
    picture = np.full((*shape, 3), 7, np.uint8)
    shares = []
    for seed in range(20):
        hit = spatial.colour_block(picture, 10, np.random.default_rng(seed)) != 7
        shares.append(hit.any(axis=2).mean())
    assert np.mean(shares) == pytest.approx(10 * 32**2 / (512 * 384), rel=0.15)  # blocks may overlap


def test_blocks_have_one_colour_and_more_blocks_contain_the_fewer() -> None:
    picture = photo_like(1, 384, 512)
    few, many = (spatial.colour_block(picture, count, generator()) for count in (2, 6))
    assert ((few != picture).any(axis=2) <= (many != picture).any(axis=2)).all()
    first = few[(few != picture).any(axis=2)]
    assert len(np.unique(first, axis=0)) == 2


def test_patches_come_from_at_most_eight_pixels_away() -> None:
    ramp = np.zeros((384, 256, 3), np.uint8)
    ramp[..., 0] = np.arange(384)[:, None] // 2
    ramp[..., 1] = np.arange(256)
    moved = spatial.non_eccentricity_patch(ramp, 2, generator())
    change = moved.astype(int) - ramp
    assert change.any()
    assert np.abs(change[..., 1]).max() <= 9 and np.abs(change[..., 0]).max() <= 5


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_a_single_row_or_column_is_its_own_border(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    planes, nowhere = to_planes(picture), np.zeros((2, *shape), np.float32)
    assert np.array_equal(spatial.warp(planes, nowhere), planes)
    assert (spatial.warp(planes, nowhere + 1000) == planes[:, -1:, -1:]).all()
    assert spatial.jitter(picture, 1, generator()).shape == picture.shape
