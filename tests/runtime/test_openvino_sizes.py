"""Which sizes of batch OpenVINO compiles for, and that a view's score does not depend on it."""

import numpy as np
import pytest

from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.openvino_sizes import FixedSizes


class Compiler:
    """Stands for OpenVINO: takes batches of the size alone, and reuses its output as OpenVINO does."""

    def __init__(self):
        self.sizes, self.taken = [], []

    def __call__(self, size):
        self.sizes.append(size)
        return Request(size, self.taken)


class Request:
    def __init__(self, size, taken):
        self.output, self.taken = np.empty(size, np.float32), taken

    def infer(self, inputs):
        assert len(inputs[0]) == len(self.output)
        self.taken.append(len(self.output))
        self.output[:] = inputs[0][:, 0]
        return [self.output]


def views(count):
    return np.arange(count, dtype=np.uint8)[:, None]


def test_a_size_that_keeps_coming_is_compiled_for():
    compiler = Compiler()
    network = FixedSizes(compiler)
    assert compiler.sizes == [1]
    for _ in range(7):
        assert network.infer(views(8)).tolist() == list(range(8))
    assert compiler.sizes == [1]
    assert compiler.taken == [1] * 56
    network.infer(views(8))
    assert compiler.sizes == [1, 8]
    compiler.taken.clear()
    assert network.infer(views(19)).tolist() == list(range(19))
    assert compiler.taken == [8, 8, 1, 1, 1]


def test_large_batches_are_taken_in_parts():
    compiler = Compiler()
    assert FixedSizes(compiler).infer(views(100)).tolist() == list(range(100))
    assert compiler.sizes == [1, 32]
    assert compiler.taken == [32, 32, 32, 1, 1, 1, 1]


def test_what_large_batches_leave_over_is_a_size_of_its_own():
    """Eight pictures of five views: 32 and 8, not 32 and eight times one."""
    compiler = Compiler()
    network = FixedSizes(compiler)
    for _ in range(8):
        network.infer(views(40))
    assert compiler.sizes == [1, 32, 8]
    compiler.taken.clear()
    assert network.infer(views(40)).tolist() == list(range(40))
    assert compiler.taken == [32, 8]
    network.infer(views(64))
    assert compiler.taken == [32, 8, 32, 32]
    assert compiler.sizes == [1, 32, 8]


def test_there_is_an_end_to_compiling():
    compiler = Compiler()
    network = FixedSizes(compiler)
    for size in range(1, 12):
        for _ in range(70):
            network.infer(views(size))
    assert compiler.sizes == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["nano", "nano-int8"])
def test_a_view_scores_the_same_in_any_company(name):
    pytest.importorskip("openvino", reason="needs the openvino extra")
    from crossiqa_edge.runtime.openvino import open_backend
    from crossiqa_edge.runtime.scorer import locate

    backend = open_backend(Artefact.open(locate(name)))
    batch = np.random.default_rng(0).integers(0, 256, (8, 224, 224, 3), np.uint8)
    alone = np.concatenate([backend.infer(batch[i : i + 1]) for i in range(8)])
    for _ in range(10):  # from ones to a size of its own
        np.testing.assert_array_equal(backend.infer(batch), alone)
    np.testing.assert_array_equal(backend.infer(batch[:5]), alone[:5])
