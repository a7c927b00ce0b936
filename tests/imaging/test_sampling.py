"""Views hold native pixels only, from where they should be, whatever the picture's size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossiqa_edge.errors import ConfigError, InputError
from crossiqa_edge.imaging.sampling import GRID, MIN_SIDE, check_frame, fragments, sample, spread, windows


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


@settings(max_examples=60)
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


def by_hand(frame: np.ndarray, down: float, across: float, tile: int = 32) -> np.ndarray:
    """A view of fragments, written down anew: the block nearest to each tile's place, within the picture."""
    corners = []
    for length, place in zip(frame.shape, (down, across), strict=False):
        blocks = [(i * length / GRID + place * (length / GRID - tile)) / BLOCK for i in range(GRID)]
        last = (length - tile) // BLOCK
        corners.append([BLOCK * min(max(int(np.floor(block + 0.5)), 0), last) for block in blocks])
    rows = [[frame[y : y + tile, x : x + tile] for x in corners[1]] for y in corners[0]]
    return np.vstack([np.hstack(row) for row in rows])


SMALL_AND_LARGE = [(32, 32), (33, 500), (224, 224), (300, 401), (1080, 1920)]


@pytest.mark.parametrize(("height", "width"), SMALL_AND_LARGE)
def test_one_view_of_fragments_is_of_the_middle_of_each_cell(height: int, width: int) -> None:
    frame = addressed(height, width)
    for views in (sample(frame), sample(frame, views=1), sample(frame, "fragments", views=5)[:1]):
        np.testing.assert_array_equal(views, by_hand(frame, 0.5, 0.5)[None])


@pytest.mark.parametrize(("height", "width"), SMALL_AND_LARGE)
def test_further_views_of_fragments_are_of_the_corners_of_each_cell(height: int, width: int) -> None:
    frame = addressed(height, width)
    views = sample(frame, views=9)
    wide, narrow = ((0, 0), (1, 1), (0, 1), (1, 0)), ((0.25, 0.25), (0.75, 0.75), (0.25, 0.75), (0.75, 0.25))
    assert (views.shape, views.dtype) == ((9, 224, 224, 3), np.uint8)
    for view, place in zip(views[1:], (*wide, *narrow), strict=True):
        np.testing.assert_array_equal(view, by_hand(frame, *place))
    np.testing.assert_array_equal(sample(frame, views=5), views[:5])


@settings(max_examples=60)
@given(SIDES, SIDES, st.integers(2, 12), st.sampled_from([56, 112, 224]))
def test_tiles_of_every_view_are_native_aligned_and_inside(
    height: int, width: int, count: int, size: int
) -> None:
    tile = size // GRID
    for view in sample(addressed(height, width), size=size, views=count):
        row, column = places(view)
        for place, length in ((row, height), (column.T, width)):
            corners = place[::tile, 0]
            assert (corners % BLOCK == 0).all() and (np.diff(corners) >= 0).all()
            assert corners[0] >= 0 and corners[-1] + tile <= length
            assert (place.reshape(GRID, tile, -1) == corners[:, None, None] + np.arange(tile)[:, None]).all()


@pytest.mark.parametrize("sampling", ["fragments", "crops"])
def test_more_views_see_more_of_the_picture(sampling: str) -> None:
    frame = addressed(1080, 1920)
    seen = []
    for count in (1, 5, 9):
        views = sample(frame, sampling, views=count)
        assert len({view.tobytes() for view in views}) == count
        seen.append(len(np.unique(views.reshape(-1, 3), axis=0)))
    assert seen[0] == 224 * 224 and seen[1] > 4 * seen[0] and seen[2] > seen[1]


def test_places_are_distinct_and_within_their_cells() -> None:
    assert spread(1) == [(0.5, 0.5)]
    for count in range(1, 65):
        found = spread(count)
        assert len(set(found)) == count and found[0] == (0.5, 0.5)
        assert all(0 <= place <= 1 for pair in found for place in pair)


@settings(max_examples=60)
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
    np.testing.assert_array_equal(sample(frame, views=2)[1], fragments(frame, place=(0.0, 0.0)))
    np.testing.assert_array_equal(sample(frame, "crops", views=3), windows(frame, 3))
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
    for sampling in ("fragments", "crops"):
        with pytest.raises(ConfigError, match="views must be at least 1, not 0"):
            sample(addressed(64, 64), sampling, views=0)
