"""The comparison that stands between an export and its name: it must be able to say no."""

import dataclasses
import json
import math

import numpy as np
import pytest

from crossiqa_edge.card import ModelCard
from crossiqa_edge.data.degradations import every
from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.export.acceptance import BATCHES, LIMITS, Limits, accept, compare, require, scores_of
from crossiqa_edge.export.probe import calibration_views, probe_names, probe_views

CARD = ModelCard("v", "nano", view_size=112)


def brightness(views):
    return (views.reshape(len(views), -1).mean(1) / 2.55).astype(np.float32)


def test_views_are_photographs_under_every_level_of_every_degradation():
    views, names = probe_views(CARD), probe_names()
    assert (views.dtype, views.shape[1:]) == (np.uint8, (112, 112, 3))
    assert len(views) == len(names) >= 200
    assert {name.rsplit(" ", 1)[0] for name in names} == {"pristine", *(kind.name for kind in every())}
    assert len({view.tobytes() for view in views}) > 0.9 * len(views)  # the mildest levels may change nothing


def test_no_view_is_both_judged_on_and_calibrated_on():
    judged = {view.tobytes() for view in probe_views(CARD)}
    assert not judged & {view.tobytes() for view in calibration_views(CARD)}


@pytest.mark.parametrize("sampling", ["fragments", "crops"])
def test_views_are_sampled_as_the_card_says(sampling):
    view = probe_views(ModelCard("v", "nano", sampling=sampling))[0].astype(int)
    steps = np.abs(np.diff(view, axis=1)).mean((0, 2))
    assert (steps[31::32].mean() > 2 * steps.mean()) == (sampling == "fragments")


def test_every_batch_size_is_tried_and_every_view_scored_once():
    sizes = []

    def candidate(views):
        sizes.append(len(views))
        return brightness(views)

    figures = accept(candidate, brightness, CARD, LIMITS["fp32"])
    assert set(BATCHES) <= set(sizes)
    assert sum(sizes) == figures.views == len(probe_views(CARD))
    assert (figures.max_difference, figures.srcc, figures.krcc, figures.flipped_pairs) == (
        0,
        pytest.approx(1),
        1,
        0,
    )
    assert figures.passed


def test_no_view_is_left_out_however_many_there_are():
    for count in range(1, 2 * sum(BATCHES) + 2):
        views = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
        found = scores_of(lambda batch: batch.reshape(-1).astype(np.float32), views)
        np.testing.assert_array_equal(found, np.arange(count))


def one_view_wrong(views):
    scores = brightness(views)
    if len(views) == 2:  # as a graph does whose batch was fixed while it was traced
        scores[1] = scores[0]
    return scores


@pytest.mark.parametrize(
    "candidate",
    [lambda views: brightness(views) + np.float32(0.02), one_view_wrong],
    ids=["shifted", "batch"],
)
def test_a_difference_beyond_the_limit_is_refused(candidate):
    figures = accept(candidate, brightness, CARD, LIMITS["fp32"])
    with pytest.raises(ArtefactError, match=r"a score differs by .*nothing was written"):
        require(figures, "v fp32")


# Four scores whose order is known: two neighbours swapped is one pair of six.
SCORES = np.array([10, 20, 30, 40], np.float32)


def test_figures_are_those_of_their_definitions():
    figures = compare(np.array([10, 31, 29, 40], np.float32), SCORES, LIMITS["int8"], ("a", "b", "c", "d"))
    assert figures.flipped_pairs == pytest.approx(1 / 6)
    assert (figures.max_difference, figures.mean_difference) == (11, 3)
    assert figures.srcc == pytest.approx(1 - 6 * 2 / (4 * 15))  # 1 - 6 sum d^2 / (n (n^2 - 1))
    assert figures.krcc == pytest.approx(4 / 6)  # five pairs right, one wrong
    assert figures.worst[0] == ("b", 11)
    assert figures.spread == pytest.approx(SCORES.std())


@pytest.mark.parametrize(
    ("given", "limits", "words"),
    [
        (SCORES + 0.6, LIMITS["fp16"], ["a score differs by 0.6"]),
        (SCORES + 1.5, LIMITS["int8"], ["on average"]),
        (SCORES[::-1], LIMITS["int8"], ["on average", "SRCC -1.0"]),
        (np.full(4, 25, np.float32), LIMITS["fp16"], ["a score differs", "SRCC nan"]),
    ],
)
def test_every_broken_limit_is_named(given, limits, words):
    told = compare(given, SCORES, limits).failures
    assert len(told) == len(words)
    assert all(word in line for word, line in zip(words, told, strict=True))


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_scores_without_ranks_cannot_be_accepted_in_less_than_float32(precision):
    same = np.full(4, 50, np.float32)
    figures = compare(same, same, LIMITS[precision])
    assert math.isnan(figures.srcc)
    assert not figures.passed
    assert compare(same, same, LIMITS["fp32"]).passed  # an untrained head is no fault of the export


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ArtefactError, match="not finite"):
        compare(SCORES * np.float32("nan"), SCORES, Limits())


def test_the_card_keeps_it_and_gives_it_back():
    kept = compare(SCORES + 0.25, SCORES, LIMITS["fp16"]).to_dict()
    assert kept["passed"] is True
    assert (kept["max_difference"], kept["limits"]) == (0.25, {"max_difference": 0.5, "srcc": 0.9995})
    card = dataclasses.replace(CARD, acceptance=kept)
    assert ModelCard.from_json(card.to_json()).acceptance == kept


@pytest.mark.parametrize(
    "bad",
    [[], {"views": 3}, {"passed": "yes"}, {"passed": True, "srcc": "high"}, {"passed": True, "limits": 1}],
)
def test_a_card_with_a_broken_acceptance_is_refused(bad):
    text = json.dumps({**json.loads(CARD.to_json()), "acceptance": bad})
    with pytest.raises(ArtefactError, match="bad 'acceptance'"):
        ModelCard.from_json(text)
