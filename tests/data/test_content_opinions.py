"""Opinions that are estimated from an original: what they follow, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from crossiqa_edge.data.datasets.content import (
    ContentRegression,
    content_figures,
    content_opinion,
    regressions,
)
from crossiqa_edge.data.datasets.population import population_mos
from crossiqa_edge.data.degradations import LEVELS, every, get
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.imaging.testpattern import photo_like


def test_a_fit_finds_the_plane_that_the_opinions_lie_on() -> None:
    figures = np.random.default_rng(0).uniform((0.2, 20.0, 0.1), (0.8, 45.0, 0.5), (3000, 3))
    opinions = 0.1 + figures @ (0.5, 0.006, -0.3)
    fitted = ContentRegression.fit(figures, opinions)
    assert [fitted(row) for row in figures[:50]] == pytest.approx(opinions[:50].tolist(), abs=1e-3)


def test_figures_beyond_those_fitted_and_opinions_beyond_the_scale_are_held() -> None:
    regression = ContentRegression(0.0, 1.0, 0.01, -1.0, 20.0, 40.0, 0.1, 0.5)
    assert regression((0.1, float("inf"), 0.0)) == pytest.approx(0.1 + 0.4 - 0.1)
    assert regression((0.5, 10.0, 0.9)) == pytest.approx(0.5 + 0.2 - 0.5)
    assert regression((0.0, 20.0, 0.5)) == 0.0
    assert regression((0.9, 40.0, 0.1)) == 1.0


def test_every_rebuilt_type_has_a_regression_that_is_read_as_written() -> None:
    table = regressions()
    assert set(table) == {kind.number for kind in every("tid2013")}
    for regression in table.values():
        assert ContentRegression(*map(float, regression.row())) == regression


@pytest.mark.parametrize("kind", [get("tid_gaussian_blur"), get("tid_jpeg"), get("tid_white_noise")])
def test_opinions_fall_with_the_level(kind) -> None:  # type: ignore[no-untyped-def]
    picture = photo_like(0, 192, 192)
    opinions = [content_opinion(kind, level, picture, kind(picture, level, 0)) for level in (1, 3, 5)]
    assert opinions == sorted(opinions, reverse=True)
    assert opinions[0] > opinions[-1] + 0.1


def test_one_level_is_worse_where_more_is_lost() -> None:
    """A population MOS is the same for both."""
    kind, level = get("gaussian_blur"), 3
    texture = np.random.default_rng(0).integers(0, 256, (192, 192, 1), np.uint8).repeat(3, axis=2)
    smooth = photo_like(1, 192, 192)
    regression = regressions()[get("tid_gaussian_blur").number]
    opinions = {
        name: regression(content_figures(kind, level, picture, kind(picture, level, 0)))
        for name, picture in (("texture", texture), ("smooth", smooth))
    }
    assert opinions["smooth"] > opinions["texture"] + 0.1
    assert content_figures(kind, level, smooth, smooth)[0] == population_mos("gaussian_blur", level)


def test_other_studies_types_and_levels_are_refused() -> None:
    picture = photo_like(0, 64, 64)
    with pytest.raises(ConfigError, match="no type of TID2013"):
        content_opinion(get("jpeg"), 1, picture, picture)
    with pytest.raises(ConfigError, match="level 6"):
        content_opinion(get("tid_jpeg"), LEVELS + 1, picture, picture)
