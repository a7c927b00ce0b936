"""Views hold native pixels only, from where they should be, whatever the picture's size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossiqa_edge.errors import ConfigError, InputError
from crossiqa_edge.imaging.sampling import GRID, MIN_SIDE, check_frame, fragments, sample, windows


def addressed(height: int, width: int) -> np.ndarray:
    """A picture whose pixels tell their own place: 12 bits of row and 12 of column in three bytes."""
    row, column = np.indices((height, width))
    place = (row << 12) | column
    return np.dstack([place >> 16, (place >> 8) & 255, place & 255]).astype(np.uint8)


def places(view: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    place = view.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    return place >> 12, place & 0xFFF


BLOCK = 8  # of JPEG, MPEG-2 and the transforms of H.264
SIDES = st.integers(MIN_SIDE, 700)


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, st.sampled_from([56, 112, 224]))
def test_tiles_are_native_aligned_and_one_from_each_cell(height: int, width: int, size: int) -> None:
    row, column = places(fragments(addressed(height, width), size=size))
    tile = size // GRID
    for axis, (place, length) in enumerate(((row, height), (column, width))):
        place = place if axis == 0 else place.T
        steps = np.diff(place[:, 0]).reshape(-1)
        assert (np.delete(steps, np.s_[tile - 1 :: tile]) == 1).all(), "a tile is not made of neighbours"
        corners = place[::tile, 0]
        assert (corners % BLOCK == 0).all()
        assert corners[-1] + tile <= length
        assert (np.diff(corners) >= 0).all()
        centres = corners + tile / 2
        assert np.abs(centres - (np.arange(GRID) + 0.5) * length / GRID).max() <= BLOCK + tile / 2
    assert (places(fragments(addressed(height, width), size=size))[0][:, :1] == row).all()


def test_tiles_do_not_overlap_where_there_is_room() -> None:
    row, column = places(fragments(addressed(480, 640)))
    assert len(np.unique(row * 4096 + column)) == 224 * 224


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, st.integers(1, 12), st.sampled_from([56, 112, 224]))
def test_windows_are_native_and_aligned(height: int, width: int, count: int, size: int) -> None:
    views = windows(addressed(height, width), count, size=size)
    assert views.shape == (count, size, size, 3)
    for view in views:
        row, column = places(view)
        assert row[0, 0] % BLOCK == column[0, 0] % BLOCK == 0
        kept_rows, kept_columns = min(size, height), min(size, width)
        assert (row[:kept_rows, 0] == row[0, 0] + np.arange(kept_rows)).all()
        assert (column[0, :kept_columns] == column[0, 0] + np.arange(kept_columns)).all()
        assert (np.abs(np.diff(row[:, 0])) == 1).all(), "continued by something else than reflection"


def test_first_window_is_the_centre_and_the_next_are_the_corners() -> None:
    views = windows(addressed(1024, 2048), 5)
    corners = [tuple(int(place[0, 0]) for place in places(view[:1, :1])) for view in views]
    assert corners[0] == (400, 912)
    assert set(corners[1:]) == {(0, 0), (0, 1824), (800, 0), (800, 1824)}
    assert len({view.tobytes() for view in windows(addressed(1024, 2048), 9)}) == 9


def test_sample_gives_the_same_as_its_parts() -> None:
    frame = addressed(300, 400)
    np.testing.assert_array_equal(sample(frame), fragments(frame)[None])
    np.testing.assert_array_equal(sample(frame, "crops", crops=3), windows(frame, 3))
    assert not np.shares_memory(sample(frame), frame)


def test_a_tile_larger_than_the_picture_is_continued_by_reflection() -> None:
    view = fragments(addressed(40, 500), size=448)  # tiles of 64
    row = places(view)[0][:64, 0]
    np.testing.assert_array_equal(row, [*range(40), *range(38, 14, -1)])


@pytest.mark.parametrize("size", [100, 225, 3, 0])
def test_sizes_that_tiles_do_not_fill(size: int) -> None:
    with pytest.raises(ConfigError, match="multiple of 7"):
        fragments(addressed(300, 300), size=size)


@pytest.mark.parametrize("shape", [(31, 400), (400, 31), (1, 1)])
@pytest.mark.parametrize("sampling", ["fragments", "crops"])
def test_too_small_pictures(shape: tuple[int, int], sampling: str) -> None:
    with pytest.raises(InputError, match=f"{shape[1]} x {shape[0]} pixels"):
        sample(addressed(*shape), sampling)


@pytest.mark.parametrize(
    "frame", [np.zeros((64, 64, 3)), np.zeros((64, 64), np.uint8), np.zeros((64, 64, 4), np.uint8)]
)
def test_what_is_no_frame(frame: np.ndarray) -> None:
    with pytest.raises(InputError, match="uint8"):
        check_frame(frame)


def test_bad_requests() -> None:
    with pytest.raises(ConfigError, match="fragments, crops"):
        sample(addressed(64, 64), "resize")
    with pytest.raises(ConfigError, match="at least 1"):
        sample(addressed(64, 64), "crops", crops=0)
