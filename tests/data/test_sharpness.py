from __future__ import annotations

import numpy as np

from crossiqa_edge.data.degradations.colourspace import rgb_to_lab
from crossiqa_edge.data.degradations.sharpness import high_sharpen


def test_overshoots_on_both_sides_of_an_edge_and_nowhere_else() -> None:
    picture = np.full((64, 96, 3), 90, np.uint8)
    picture[:, 48:] = 160
    row = high_sharpen(picture, 1.0, np.random.default_rng(0))[32, :, 0].astype(int)
    assert row[47] < 80 and row[48] > 170
    assert (row[:30] == 90).all() and (row[66:] == 160).all()


def test_colour_stays() -> None:
    picture = np.full((64, 64, 3), (130, 110, 100), np.uint8)
    picture[:, 32:] = (150, 128, 117)
    before, after = rgb_to_lab(picture), rgb_to_lab(high_sharpen(picture, 2.0, np.random.default_rng(0)))
    assert np.abs(after[1:] - before[1:]).max() < 1.0
    assert np.abs(after[0] - before[0]).max() > 4
