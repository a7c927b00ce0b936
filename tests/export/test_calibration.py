"""Three ways to find how far int8 should reach, on histograms whose answer is known."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.export.calibration import (
    BINS,
    METHODS,
    PERCENTILE,
    STEPS,
    channel_maxima,
    scores,
    thresholds,
)


def histogram(values):
    return np.histogram(np.abs(values), BINS, (0, np.abs(values).max()))[0].astype(float)


def gaussian_with_outlier(outlier):
    values = np.random.default_rng(0).standard_normal(200_000)
    values[0] = outlier
    return values


@pytest.mark.parametrize(
    "method", ["percentile", "entropy"]
)  # to MSE a single outlier may be worth its steps
def test_one_far_outlier_is_clipped(method):
    values = gaussian_with_outlier(60)
    reach = 60 * METHODS[method](histogram(values)) / BINS
    assert 2.5 < reach < 12  # 200,000 normal values reach to about 4.5


@pytest.mark.parametrize("method", METHODS)
def test_values_without_a_tail_are_not_clipped(method):
    uniform = np.linspace(-1, 1, 200_001)
    assert METHODS[method](histogram(uniform)) > 0.97 * BINS


def test_percentile_is_its_share():
    counts = np.zeros(BINS)
    counts[:10] = 1e6
    counts[1000] = 1e7 * (1 - PERCENTILE / 100) / 2  # half of what may be clipped
    assert METHODS["percentile"](counts) == 10


def test_mse_is_the_best_there_is():
    """Against brute force over thresholds, on the values themselves rather than their histogram."""
    values = np.random.default_rng(1).laplace(size=100_000)

    def cost(reach):
        step = reach / STEPS
        return np.mean((values - np.clip(np.rint(values / step), -STEPS, STEPS) * step) ** 2)

    found = np.abs(values).max() * METHODS["mse"](histogram(values)) / BINS
    best = min(cost(reach) for reach in np.linspace(2, np.abs(values).max(), 300))
    assert cost(found) < 1.02 * best


VIEWS = np.zeros((1, 224, 224, 3), np.uint8)


@pytest.fixture
def graph(micro_export):
    return onnx.load(micro_export.onnx)


def test_what_a_channel_reaches_is_of_all_views_whatever_their_order(graph):
    noise = np.random.default_rng(0).integers(0, 256, (12, 224, 224, 3), np.uint8)
    views = (noise * np.linspace(0, 1, 12)[:, None, None, None]).astype(np.uint8)
    name = "blocks.0.norm1"
    each = [channel_maxima(graph, [name], view[None])[name] for view in views]
    for shown in (views, views[::-1]):
        np.testing.assert_allclose(
            channel_maxima(graph, [name], shown)[name], np.max(each, axis=0), rtol=1e-4
        )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_a_line(graph, value):
    """As of weights of a training that went astray."""
    bias = next(item for item in graph.graph.initializer if item.name == "blocks.0.norm1.bias")
    changed = np.array(numpy_helper.to_array(bias))
    changed[0] = value
    bias.CopyFrom(numpy_helper.from_array(changed, bias.name))
    with pytest.raises(ArtefactError, match=r"values in 'blocks\.0\.norm1' that are not finite"):
        thresholds(graph, ["blocks.0.norm1"], VIEWS, "percentile")


def test_a_graph_that_does_not_run_is_a_line(graph):
    """onnxruntime takes it, and fails on its shapes: eight pictures' scores beside two views."""
    head = next(node for node in graph.graph.node if node.name == "head")
    head.input[1] = "blocks.0"
    with pytest.raises(ArtefactError, match=r"onnxruntime does not run this graph: .*'head'"):
        scores(graph, np.repeat(VIEWS, 2, axis=0))


def test_a_graph_without_the_value_asked_for_is_a_line(graph):
    with pytest.raises(ArtefactError, match=r"onnxruntime does not run this graph: .*nonesuch"):
        thresholds(graph, ["nonesuch"], VIEWS, "percentile")
