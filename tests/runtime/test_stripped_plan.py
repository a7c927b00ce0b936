"""Plans without weights and the constants behind them: put together and taken apart."""

import numpy as np
import pytest

from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.runtime.stripped_plan import MAGIC, join, part, refit_model


@pytest.mark.parametrize("constants", [b"", b"constants"])
def test_what_was_joined_comes_apart(constants):
    assert part(join(b"plan", constants), "x.engine") == (b"plan", constants)


@pytest.mark.parametrize("data", [b"", b"plan", MAGIC, b"plan" + (5).to_bytes(8, "little") + MAGIC])
def test_what_was_not_joined_is_refused(data):
    with pytest.raises(ArtefactError, match=r"^x\.engine: a plan without weights of an earlier version"):
        part(data, "x.engine")


def test_the_model_to_refit_from_has_the_constants_of_both_and_all_else_of_the_graph(make_onnx):
    onnx = pytest.importorskip("onnx")
    numpy_helper = pytest.importorskip("onnx.numpy_helper")
    constant = numpy_helper.from_array(np.ones(3, np.float16), "beside")
    rest = onnx.ModelProto()
    rest.graph.initializer.append(constant)
    graph = make_onnx().read_bytes()
    model = onnx.load_model_from_string(refit_model(graph, rest.SerializeToString()))
    assert model.graph.initializer.pop() == constant
    assert model == onnx.load_model_from_string(graph)
