"""The comparison that stands between an export and its file: it must be able to say no."""

import math

import numpy as np
import pytest

from crossiqa_edge.card import ModelCard
from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.export.verify import BATCHES, verification_views, verify

CARD = ModelCard("v", "nano", view_size=112)


def brightness(views):
    return (views.reshape(len(views), -1).mean(1) / 2.55).astype(np.float32)


def test_views_are_photographs_under_every_level_of_three_degradations():
    views = verification_views(CARD)
    assert (views.dtype, views.shape) == (np.uint8, (32, 112, 112, 3))
    assert len({view.tobytes() for view in views}) >= 30  # KADID-10k's mildest blur changes nothing
    np.testing.assert_array_equal(views, verification_views(CARD))


@pytest.mark.parametrize("sampling", ["fragments", "crops"])
def test_views_are_sampled_as_the_card_says(sampling):
    views = verification_views(ModelCard("v", "nano", sampling=sampling))
    seams = np.abs(np.diff(views[0].astype(int), axis=1)).mean((0, 2))[31::32]  # between fragments
    inside = np.abs(np.diff(views[0].astype(int), axis=1)).mean()
    assert (seams.mean() > 2 * inside) == (sampling == "fragments")


def test_every_batch_size_is_tried_and_every_view_scored_once():
    sizes = []

    def candidate(views):
        sizes.append(len(views))
        return brightness(views)

    figures = verify(candidate, brightness, CARD)
    assert set(BATCHES) <= set(sizes)
    assert sum(sizes) == figures.views == 32
    assert (figures.max_difference, figures.srcc, figures.krcc) == (0, 1, 1)


def test_a_small_difference_is_measured():
    figures = verify(lambda views: brightness(views) + np.float32(0.005), brightness, CARD)
    assert figures.max_difference == pytest.approx(0.005, rel=1e-2)
    assert figures.mean_difference == pytest.approx(0.005, rel=1e-2)
    assert "differ by at most 0.005 of 100 points" in str(figures)


def one_view_wrong(views):
    scores = brightness(views)
    if len(views) == 2:  # as a graph does whose batch was fixed while it was traced
        scores[1] = scores[0]
    return scores


@pytest.mark.parametrize(
    "candidate",
    [
        lambda views: brightness(views) + np.float32(0.02),
        lambda views: brightness(views)[::-1],
        lambda views: brightness(views) * np.float32("nan"),
        one_view_wrong,
    ],
)
def test_a_difference_beyond_the_tolerance_is_refused(candidate):
    with pytest.raises(ArtefactError, match="nothing was written"):
        verify(candidate, brightness, CARD)


def test_scores_that_are_all_equal_have_no_rank_agreement():
    figures = verify(*[lambda views: np.full(len(views), 50, np.float32)] * 2, CARD)
    assert math.isnan(figures.srcc)
