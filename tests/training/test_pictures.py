from functools import partial

import numpy as np
import pytest

from crossiqa_edge.errors import InputError
from crossiqa_edge.training.pictures import PictureCache


def test_gives_back_what_the_loaders_made(tmp_path, frames):
    odd = [frames[0], frames[1][:33, :47], frames[2]]
    cache = PictureCache.build(tmp_path, "x", ["a", "b", "c"], [partial(np.asarray, f) for f in odd])
    assert len(cache) == 3
    for i, frame in enumerate(odd):
        np.testing.assert_array_equal(cache[i], frame)


def test_a_filled_cache_is_not_made_again(tmp_path, frames):
    PictureCache.build(tmp_path, "x", ["a"], [lambda: frames[0]])

    def never():
        raise AssertionError("loaded twice")

    np.testing.assert_array_equal(PictureCache.build(tmp_path, "x", ["a"], [never])[0], frames[0])


def test_other_pictures_are_another_cache(tmp_path, frames):
    PictureCache.build(tmp_path, "x", ["a"], [lambda: frames[0]])
    other = PictureCache.build(tmp_path, "x", ["b"], [lambda: frames[1]])
    np.testing.assert_array_equal(other[0], frames[1])


def test_a_failed_fill_leaves_nothing_behind(tmp_path, frames):
    def bad():
        raise InputError("broken.png: truncated")

    with pytest.raises(InputError, match="truncated"):
        PictureCache.build(tmp_path, "x", ["a", "b"], [lambda: frames[0], bad])
    assert list(tmp_path.iterdir()) == []
