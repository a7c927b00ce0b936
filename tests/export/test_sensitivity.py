"""The search by itself, on a model whose layers cost what the test says."""

from types import SimpleNamespace

import numpy as np
import pytest

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.export.sensitivity import search


def test_a_search_that_finds_no_layer_names_the_cheapest_and_what_it_costs():
    """Else the file would be called int8 and have no such layer."""

    def run(layers, views):
        scores = np.arange(10, dtype=np.float32)
        wrong = max((("cheap", "dear").index(name) + 1 for name in layers), default=0)
        scores[: wrong + 1] = scores[: wrong + 1][::-1]
        return scores

    quantiser = SimpleNamespace(
        layers=("dear", "cheap"),
        multiplications=lambda: {"dear": 1, "cheap": 1},
        quantised=lambda layers: layers,
    )

    def searched(limit):
        return search(quantiser, run, None, limit, lambda stage, share=None: None)

    with pytest.raises(ConfigError, match=r"--search 0: .* the cheapest layer, cheap, .* costs 0\.012"):
        searched(0)
    few = searched(0.02)
    assert (few.chosen, few.loss) == (("cheap",), pytest.approx(6 * 2 / 990))  # two neighbours of ten swapped
    assert searched(few.loss).chosen == few.chosen  # the limit itself may be lost
    both = searched(0.05)
    assert (both.chosen, both.loss) == (("cheap", "dear"), pytest.approx(6 * 8 / 990))
