"""Graphs that look like ours up to a point: what the rewriting must leave alone, it does."""

import numpy as np
import pytest

from crossiqa_edge.runtime.openvino_rewrites import order_as_bytes, part_by_picture

openvino = pytest.importorskip("openvino", reason="needs the openvino extra")
from openvino import opset13 as op  # noqa: E402

TOKENS, WIDTH, BATCH = 5, 8, 2


def parameter(*lengths):
    return op.parameter(list(lengths), np.float32)


def reshape(x, *lengths, special_zero=False):
    return op.reshape(x, op.constant(np.array(lengths, np.int64)), special_zero)


def rows(tokens):
    return reshape(tokens, -1, WIDTH)


def results(model, given):
    return list(openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(given).values())


def assert_parted_with_the_same_results(make):
    """``make()``: result and parameters of a new graph, which joins tokens to rows."""
    models = [openvino.Model(*make(), "graph") for _ in range(2)]
    assert part_by_picture(models[1])
    generator = np.random.default_rng(0)
    given = []
    for port in models[0].inputs:
        _, *rest = port.get_partial_shape().get_min_shape()
        first = BATCH if len(rest) > 1 else BATCH * TOKENS  # the latter: rows
        given.append(generator.normal(size=(first, *rest)).astype(np.float32))
    for before, after in zip(*(results(model, given) for model in models), strict=True):
        np.testing.assert_array_equal(after, before)


def test_rows_that_come_from_elsewhere_are_not_added_to_tokens():
    def make():
        tokens, others = parameter(-1, TOKENS, WIDTH), parameter(-1, WIDTH)
        return [op.add(rows(tokens), others)], [tokens, others]

    assert_parted_with_the_same_results(make)


def test_a_reshape_that_copies_the_number_of_rows_still_reads_rows():
    def make():
        tokens = parameter(-1, TOKENS, WIDTH)
        return [reshape(rows(tokens), 0, 2, WIDTH // 2, special_zero=True)], [tokens]

    assert_parted_with_the_same_results(make)


def test_a_reshape_whose_lengths_are_computed_still_reads_rows():
    def make():
        tokens = parameter(-1, TOKENS, WIDTH)
        x = rows(tokens)
        count = op.gather(op.shape_of(x), op.constant(np.array([0])), op.constant(np.int64(0)))
        lengths = op.concat([count, op.constant(np.array([2, WIDTH // 2]))], 0)
        return [op.reshape(x, lengths, False)], [tokens]

    assert_parted_with_the_same_results(make)


def test_rows_of_another_number_of_tokens_stay_rows():
    def make():
        tokens, windows = parameter(-1, TOKENS, WIDTH), parameter(-1, 3, 2, WIDTH // 2)
        return [rows(tokens), op.multiply(rows(windows), rows(windows))], [tokens, windows]

    assert_parted_with_the_same_results(make)


def test_rows_of_the_same_number_of_tokens_are_parted_and_stay_the_same():
    def make():
        tokens, heads = parameter(-1, TOKENS, WIDTH), parameter(-1, TOKENS, 2, WIDTH // 2)
        return [op.add(rows(tokens), rows(heads))], [tokens, heads]

    assert_parted_with_the_same_results(make)


CHAIN = (
    lambda x: op.convert(x, np.float32),
    lambda x: op.subtract(x, op.constant(np.float32(128))),
    lambda x: reshape(x, -1, 4, 2, 12),
    lambda x: op.transpose(x, op.constant(np.array([0, 2, 1, 3]))),
    lambda x: reshape(x, -1, 48),
)


@pytest.mark.parametrize("fork", range(len(CHAIN) + 1))
def test_pixels_that_somebody_else_reads_on_the_way_are_not_ordered_as_bytes(fork):
    """Two chains that part behind ``fork`` nodes; behind the last they are one, read twice."""
    views = op.parameter([-1, 8, 8, 3], np.uint8)
    shared = views
    for node in CHAIN[:fork]:
        shared = node(shared)
    ends = []
    for _ in range(2):
        end = shared
        for node in CHAIN[fork:]:
            end = node(end)
        ends.append(op.relu(end))
    model = openvino.Model(ends, [views], "graph")
    assert order_as_bytes(model) == (fork == len(CHAIN))
