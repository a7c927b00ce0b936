"""The histogram counts every score once and is well-formed SVG."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from crossiqa_edge.report import histogram
from crossiqa_edge.score import FIVE_POINT_SCALE, quality_word


def test_every_score_is_counted_once_in_the_bin_that_holds_it() -> None:
    values = [0.0, 4.99, 5.0, 59.9, 60.0, 99.99, 100.0]
    bins = histogram.counts(values)
    assert {index: count for index, count in enumerate(bins) if count} == {0: 2, 1: 1, 11: 1, 12: 1, 19: 2}


def test_no_bin_straddles_a_cut_of_the_five_point_scale() -> None:
    """Or a bar would have the colour of a word that half of its scores do not have."""
    for cut, word in FIVE_POINT_SCALE:
        below, at = histogram.counts([max(cut - 0.01, 0)]), histogram.counts([cut])
        assert quality_word(cut) == word
        assert cut == 0 or below != at


@pytest.mark.parametrize("values", [[], [50.0], [3.0, 3.0, 97.0]], ids=["none", "one", "three"])
def test_drawing_is_well_formed_and_within_its_box(values: list[float]) -> None:
    root = ElementTree.fromstring(histogram.svg(values))
    bars = root.findall("g/rect")
    assert len(bars) == len(set(values))
    for bar in bars:
        left, top, width, height = (float(bar.attrib[key]) for key in ("x", "y", "width", "height"))
        assert left >= 0 and left + width <= histogram.WIDTH
        assert top >= 0 and top + height <= histogram.HEIGHT


def test_bars_are_as_tall_as_their_counts() -> None:
    root = ElementTree.fromstring(histogram.svg([10.0] * 4 + [90.0]))
    tall, short = (float(bar.attrib["height"]) for bar in root.findall("g/rect"))
    assert tall / short == pytest.approx(4, abs=0.05)
    assert [title.text for title in root.findall("g/title")] == [
        "10 to 15: 4 pictures",
        "90 to 95: 1 picture",
    ]
