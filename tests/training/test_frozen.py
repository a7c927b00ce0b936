"""The learning curve of a head where most pictures show the same."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.training.frozen import Head, LearningCurve, learning_curve
from crossiqa_edge.training.learning_plot import curve_png


def no_picture() -> Frame:
    return np.zeros((1, 1, 3), np.uint8)


def skewed(pictures: int = 50, contents: int = 10) -> QualitySet:
    """All of one content, but for a picture of each of the others."""
    opinions = np.random.default_rng(0).uniform(size=pictures)
    samples = tuple(
        Sample(str(index), float(opinion), f"c{max(0, index - (pictures - contents))}", no_picture)
        for index, opinion in enumerate(opinions)
    )
    return QualitySet("skewed", samples, (0.0, 1.0))


def test_a_draw_of_too_few_contents_takes_no_part() -> None:
    quality_set = skewed()
    assert len({sample.reference for sample in quality_set.samples}) == 10
    features = np.random.default_rng(1).normal(size=(50, 1, 4)).astype(np.float32)
    features[:, 0, 0] = quality_set.scores
    curve = learning_curve(features, quality_set, Head(np.array([0.0, 1, 0, 0]), 0.0))
    missing = np.isnan(curve.srcc)
    assert missing.any() and not missing.all()
    assert curve.median[-1] == pytest.approx(np.median(curve.srcc[~missing[:, -1], -1]))
    assert curve.median[-1] > 0.5


@pytest.mark.parametrize("known", [0, 1, 3])
def test_correlations_that_do_not_exist_are_null_and_not_drawn(known: int) -> None:
    ranks = np.full((3, 2), np.nan)
    ranks[:known, 1] = 0.5
    curve = LearningCurve((9, 18), ranks, np.where(np.arange(3) < known, 0.25, np.nan))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told = json.loads(json.dumps(curve.to_dict(), allow_nan=False))
        picture = curve_png(curve, "data", "start")
    assert told["srcc_median"] == [None, 0.5 if known else None]
    assert told["srcc_quartiles"] == [[None, None], [0.5, 0.5] if known else [None, None]]
    assert told["start_srcc_median"] == (0.25 if known else None)
    assert picture.startswith(b"\x89PNG")
