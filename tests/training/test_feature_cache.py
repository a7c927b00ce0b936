"""Files of features that are damaged count as none."""

import io
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossiqa_edge.card import ModelCard
from crossiqa_edge.training import feature_cache
from crossiqa_edge.training.feature_cache import FeatureCache, Views


def mean_colour(views: Views) -> np.ndarray:
    return views.mean(axis=(1, 2)).astype(np.float32)


def test_a_file_with_any_byte_changed_gives_what_was_kept_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a zip's many fields one is a way of packing that Python lacks, one says that it is encrypted."""
    picture = tmp_path / "0.png"
    Image.new("RGB", (96, 96), (10, 20, 30)).save(picture)
    card = ModelCard("x", "micro", view_size=112)
    cache = FeatureCache(tmp_path, card)
    first = cache.features(mean_colour, [picture])
    sound = cache.path.read_bytes()

    # a thousand files need not reach the disk
    monkeypatch.setattr(feature_cache, "atomic_write", lambda path: nullcontext(io.BytesIO()))

    def darkness(views: Views) -> np.ndarray:
        return 0 * mean_colour(views)

    for place in range(len(sound)):
        damaged = bytearray(sound)
        damaged[place] ^= 0xFF
        cache.path.write_bytes(damaged)
        rows = FeatureCache(tmp_path, card).features(darkness, [picture], workers=1).rows
        assert (rows == first.rows).all() or not rows.any()


@pytest.mark.parametrize("kept", [0, 10, 200, -1], ids=["empty", "begun", "cut short", "but one byte"])
def test_a_damaged_file_counts_as_none(tmp_path: Path, kept: int) -> None:
    picture = tmp_path / "0.png"
    Image.new("RGB", (96, 96), (10, 20, 30)).save(picture)
    card = ModelCard("x", "micro", view_size=112)
    cache = FeatureCache(tmp_path, card)
    first = cache.features(mean_colour, [picture])
    cache.path.write_bytes(cache.path.read_bytes()[:kept])
    again = FeatureCache(tmp_path, card)
    np.testing.assert_array_equal(again.features(mean_colour, [picture]).rows, first.rows)
    np.testing.assert_array_equal(first.rows[0, 0], [10, 20, 30])
