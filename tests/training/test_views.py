import numpy as np
import pytest

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.imaging.sampling import ALIGNMENT
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.training.views import ALIGNED_SHARE, TILE, cut, fragments, halved_chroma, region, window


@pytest.fixture
def ramp():
    """A picture whose pixels tell their own position: red the row, green the column."""
    rows, columns = np.mgrid[:200, :240]
    return np.stack([rows, columns, np.zeros_like(rows)], axis=-1).astype(np.uint8)


def test_windows_are_native_and_mostly_on_the_codec_grid(ramp, generator):
    corners = []
    for _ in range(400):
        view = window(ramp, generator, 64)
        assert (np.diff(view[:, 0, 0].astype(int)) == 1).all()
        corners.append(view[0, 0, :2].astype(int))
    aligned = np.mean([(corner % ALIGNMENT == 0).all() for corner in corners])
    both = ALIGNED_SHARE + (1 - ALIGNED_SHARE) / ALIGNMENT  # a free axis hits the grid now and then
    assert aligned == pytest.approx(both**2, abs=0.1)


def test_fragments_come_from_their_own_cells(ramp, generator):
    view = fragments(ramp, generator, 96)
    tops = view[::TILE, 0, 0].astype(int)
    lefts = view[0, ::TILE, 1].astype(int)
    assert (np.diff(tops) > 0).all()
    assert (np.diff(lefts) > 0).all()
    assert (np.diff(view[:TILE, 0, 0].astype(int)) == 1).all()


@pytest.mark.parametrize("size", [16, 112])
def test_fragments_that_would_leave_a_part_of_the_view_empty_are_refused(ramp, generator, size):
    with pytest.raises(ConfigError, match=f"{size} pixels .*multiple of {TILE}"):
        fragments(ramp, generator, size)


def test_cut_mirrors_about_half_of_the_views(ramp, generator):
    rising = [
        int(view[0, -1, 1]) > int(view[0, 0, 1]) for view in (cut(ramp, generator, 64) for _ in range(200))
    ]
    assert np.mean(rising) == pytest.approx(0.5, abs=0.12)


def test_small_pictures_are_continued(generator):
    small = np.full((40, 50, 3), 7, np.uint8)
    assert cut(small, generator, 112).shape == (112, 112, 3)
    assert cut(small, generator, 224, fragment_share=1.0).shape == (224, 224, 3)


def test_region_has_its_margin_where_there_is_room(ramp, generator):
    assert region(ramp, generator, 64, 16).shape == (96, 96, 3)
    assert region(ramp, generator, 190, 16).shape == (200, 222, 3)


def test_halved_chroma_keeps_luma_and_grey_and_evens_out_colour():
    grey = photo_like(0, 32, 48).mean(axis=2, keepdims=True).astype(np.uint8).repeat(3, axis=2)
    assert np.abs(halved_chroma(grey).astype(int) - grey).max() <= 1
    stripes = np.zeros((32, 48, 3), np.uint8)
    stripes[:, ::2, 0] = stripes[:, 1::2, 2] = 200  # red and blue columns
    halved = halved_chroma(stripes)
    luma = np.array([0.299, 0.587, 0.114])
    assert np.abs(halved.astype(float) @ luma - np.clip(stripes, 0, 255) @ luma).mean() < 15
    saturation = np.ptp(halved.astype(int), axis=2)
    assert saturation.mean() < 0.6 * np.ptp(stripes.astype(int), axis=2).mean()


def test_no_chroma_is_halved_and_no_number_drawn_for_it_unless_asked():
    picture, one, other = photo_like(0, 200, 200), np.random.default_rng(4), np.random.default_rng(4)
    np.testing.assert_array_equal(cut(picture, one, 96, 1.0), cut(picture, other, 96, 1.0, 0.0))
    assert one.random() == other.random()
    changed = cut(picture, np.random.default_rng(4), 96, 1.0, 1.0)
    np.testing.assert_array_equal(changed, halved_chroma(cut(picture, np.random.default_rng(4), 96, 1.0)))
