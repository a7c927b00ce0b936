"""Quality maps: every place covered, differences where they are, the network's views kept to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crossiqa_edge.errors import InputError
from crossiqa_edge.video.quality_map import quality_map


def brightness(views: Any) -> Any:
    """A backend whose score is the mean byte."""
    assert views.dtype == np.uint8 and views.shape[1:] == (224, 224, 3) and len(views) <= 32
    return views.mean((1, 2, 3), dtype=np.float64).astype(np.float32) / 2.55


@pytest.mark.parametrize(
    "size",
    [(32, 32), (33, 47), (144, 176), (272, 640), (720, 1280), (1083, 1927), (2160, 3840), (4320, 7680)],
)
def test_every_place_has_the_score_of_an_even_frame(size: tuple[int, int]) -> None:
    found = quality_map(np.full((*size, 3), 102, np.uint8), brightness)
    assert found.scores.shape == (-(-size[0] // 8), -(-size[1] // 8))
    np.testing.assert_allclose(found.scores, 40.0, atol=1e-4)  # NaN where a place was left out would fail
    assert found.side <= 224


def test_the_bad_half_is_on_its_own_side() -> None:
    frame = np.full((400, 600, 3), 200, np.uint8)
    frame[:, 300:] = 50
    scores = quality_map(frame, brightness).scores
    assert scores[:, :10].min() > 78 and scores[:, -10:].max() < 20
    assert (np.diff(scores.mean(0)) <= 1e-9).all()  # falls from the one to the other, without ripples


def test_upper_and_lower_are_not_mixed_up_with_left_and_right() -> None:
    frame = np.full((300, 500, 3), 200, np.uint8)
    frame[200:] = 50
    scores = quality_map(frame, brightness).scores
    assert scores[0].min() > scores[-1].max() + 40


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(InputError):
        quality_map(np.zeros((20, 20, 3), np.uint8), brightness)
