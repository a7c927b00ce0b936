"""Graphs at which a runtime would crash, hang or fill the memory are refused before it has them.

None of these graphs may be given to a runtime here: each was seen to end the process.
"""

import time

import numpy as np
import pytest
from tiny_graph import tiny_model

from crossiqa_edge import weights
from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.runtime.onnx_rules import MAX_EXPANDED, MAX_NODES
from crossiqa_edge.runtime.onnxfile import read_onnx
from crossiqa_edge.runtime.operators import ALLOWED

onnx = pytest.importorskip("onnx", reason="building hostile graphs needs the onnx package")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

NEEDY = [(domain, name, n) for domain, names in ALLOWED.items() for name, n in names.items() if n]


def refusal(model):
    with pytest.raises(ArtefactError) as caught:
        read_onnx(model.SerializeToString(), "evil.onnx")
    assert str(caught.value).startswith("evil.onnx: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def in_graph(model, node):
    model.graph.node.append(node)


def in_subgraph(model, node):
    inner = helper.make_graph([node], "inner", [], [])
    model.graph.node.append(helper.make_node("Softmax", ["mean"], ["y"], then_branch=inner))


def in_function(model, node):
    model.functions.append(helper.make_function("crossiqa", "FusedAttention", [], [], [node], []))


PLACES = pytest.mark.parametrize("put", [in_graph, in_subgraph, in_function])


@PLACES
@pytest.mark.parametrize(("domain", "name", "least"), NEEDY)
def test_a_node_without_an_input_that_it_needs_is_refused(put, domain, name, least):
    names = ["mean"] * least
    for given in (names[1:], [""] * least, [*names[1:], ""], ["", *names[1:]]):
        model = tiny_model()
        put(model, helper.make_node(name, given, ["m"], domain=domain))
        assert f"a node '{name}' with {sum(map(bool, given[:least]))} of the {least} inputs" in refusal(model)
    model = tiny_model()
    put(model, helper.make_node(name, names, ["m"], domain=domain))
    read_onnx(model.SerializeToString())


@PLACES
@pytest.mark.parametrize("name", ["Concat", "Max", "Min"])
def test_of_any_number_of_inputs_none_may_be_without_a_name(put, name):
    model = tiny_model()
    put(model, helper.make_node(name, ["mean", "", "mean"], ["m"]))
    assert f"a node '{name}' with 2 of the 3 inputs" in refusal(model)


@pytest.mark.parametrize("version", [1 << 40, -1])
def test_opsets_that_there_will_never_be_are_refused(version):
    model = tiny_model()
    model.opset_import[0].version = version
    assert "an opset that there will never be" in refusal(model)


@PLACES
def test_an_optional_input_may_be_passed_over_but_not_at_the_end(put):
    model = tiny_model()
    put(model, helper.make_node("Clip", ["mean", "", "scale"], ["m"]))
    read_onnx(model.SerializeToString())
    put(model, helper.make_node("LayerNormalization", ["mean", "scale", ""], ["n"]))
    assert "'LayerNormalization' whose last input has no name" in refusal(model)


@pytest.mark.parametrize(
    "nodes",
    [[("Abs", ["a"], ["a"])], [("Abs", ["b"], ["a"]), ("Abs", ["a"], ["b"])]],
    ids=["itself", "one another"],
)
@PLACES
def test_nodes_in_a_circle_are_refused(put, nodes):
    model = tiny_model()
    if put is in_function:
        function = helper.make_function("crossiqa", "FusedAttention", [], [], [], [])
        function.node.extend(helper.make_node(*node) for node in nodes)
        model.functions.append(function)
    elif put is in_subgraph:
        inner = helper.make_graph([helper.make_node(*node) for node in nodes], "inner", [], [])
        in_graph(model, helper.make_node("Softmax", ["mean"], ["y"], then_branch=inner))
    else:
        model.graph.node.extend(helper.make_node(*node) for node in nodes)
    assert "'Abs' reads what is made after it" in refusal(model)


def test_the_same_name_in_a_function_and_in_the_graph_is_no_circle():
    model = tiny_model()
    in_function(model, helper.make_node("Abs", ["score"], ["views"]))
    read_onnx(model.SerializeToString())


@pytest.mark.parametrize("dims", [[-1], [4, -(1 << 62)], [1] * 33])
def test_tensors_of_impossible_dimensions_are_refused(dims):
    model = tiny_model()
    model.graph.initializer.add(name="t", data_type=21, dims=dims)
    assert "a tensor of impossible dimensions" in refusal(model)


def raw(model, name, dims):
    model.graph.initializer.append(numpy_helper.from_array(np.array(dims, np.int64), name))


def typed(model, name, dims):
    model.graph.initializer.add(name=name, data_type=7, dims=[len(dims)], int64_data=dims)


def by_node(model, name, dims):
    tensor = numpy_helper.from_array(np.array(dims, np.int64))
    model.graph.node.append(helper.make_node("Constant", [], [name], value=tensor))


def by_list(model, name, dims):
    model.graph.node.append(helper.make_node("Constant", [], [name], value_ints=dims))


KEPT = pytest.mark.parametrize("keep", [raw, typed, by_node, by_list])
JOINED = pytest.mark.parametrize("joined", [False, True], ids=["straight", "joined"])


def expanding(keep, dims, joined):
    model = tiny_model()
    keep(model, "dims", dims)
    if joined:
        model.graph.node.append(helper.make_node("Shape", ["views"], ["batch"], end=1))
        model.graph.node.append(helper.make_node("Concat", ["batch", "dims"], ["joined"], axis=0))
    model.graph.node.append(helper.make_node("Expand", ["scale", "joined" if joined else "dims"], ["large"]))
    return model


@KEPT
@JOINED
@pytest.mark.parametrize("dims", [[MAX_EXPANDED + 1], [1 << 40, -1], [1 << 13, 0, 1 << 13]])
def test_an_expand_to_far_more_than_the_file_holds_is_refused(keep, joined, dims):
    assert f"an Expand to more than {MAX_EXPANDED} elements" in refusal(expanding(keep, dims, joined))


@KEPT
@JOINED
def test_an_expand_to_no_more_than_a_model_needs_is_read(keep, joined):
    read_onnx(expanding(keep, [1, MAX_EXPANDED], joined).SerializeToString())


def test_sizes_that_are_joined_to_themselves_again_and_again_take_no_time():
    model = expanding(raw, [1], False)
    shape = "dims"
    for turn in range(26):  # each is asked for twice by the next
        model.graph.node.append(helper.make_node("Concat", [shape, shape], [f"twice{turn}"], axis=0))
        shape = f"twice{turn}"
    model.graph.node.append(helper.make_node("Expand", ["scale", shape], ["larger"]))
    start = time.monotonic()
    read_onnx(model.SerializeToString())
    assert time.monotonic() - start < 4


def test_a_list_of_sparse_tensors_is_looked_into_as_one_is():
    attribute = onnx.AttributeProto(name="values", type=onnx.AttributeProto.SPARSE_TENSORS)
    attribute.sparse_tensors.add().values.data_location = onnx.TensorProto.EXTERNAL
    model = tiny_model()
    model.graph.node.append(helper.make_node("Constant", [], ["c"]))
    model.graph.node[-1].attribute.append(attribute)
    assert "its tensors lie in other files" in refusal(model)


def test_a_small_constant_of_the_same_name_does_not_hide_a_large_one():
    model = expanding(raw, [MAX_EXPANDED + 1], False)
    inner = helper.make_graph([], "inner", [], [], [numpy_helper.from_array(np.array([1]), "dims")])
    for place in (0, len(model.graph.node)):
        model.graph.node.insert(place, helper.make_node("Softmax", ["views"], ["y"], then_branch=inner))
    assert "an Expand to more than" in refusal(model)


def test_large_numbers_that_are_no_shape_are_read():
    """A Slice to the end is written as the largest number there is."""
    model = tiny_model()
    raw(model, "end", [(1 << 63) - 1])
    raw(model, "start", [0])
    model.graph.node.append(helper.make_node("Slice", ["mean", "start", "end"], ["m"]))
    read_onnx(model.SerializeToString())


def calling(calls, nodes):
    """A function of ``nodes`` nodes that is called so many times."""
    model = tiny_model()
    body = [helper.make_node("Abs", ["x"], [f"y{at}"]) for at in range(nodes)]
    imports = [helper.make_opsetid("", 18)]
    model.functions.append(helper.make_function("crossiqa", "FusedAttention", ["x"], ["y0"], body, imports))
    for at in range(calls):
        node = helper.make_node("FusedAttention", ["mean"], [f"z{at}"], domain="crossiqa")
        model.graph.node.append(node)
    return model


def test_calls_that_come_to_more_nodes_than_a_model_has_are_refused():
    read_onnx(calling(12, 600).SerializeToString())
    assert f"functions that may come to more than {MAX_NODES} nodes" in refusal(calling(150, 150))


def test_functions_that_could_call_one_another_are_refused():
    """Eighteen that each call the next one twice are a thousand bytes and a quarter of a million nodes."""
    model = calling(1, 1)
    model.functions.append(model.functions[0])
    model.functions[1].overload = "second"
    assert "functions that may come to more" in refusal(model)


@pytest.mark.parametrize("domain", ["", "com.microsoft"])
def test_a_function_in_the_place_of_an_operator_is_refused(domain):
    model = calling(0, 1)
    model.functions[0].domain, model.functions[0].name = domain, "Gelu"
    assert f"a function in the operator domain {domain!r}" in refusal(model)


@pytest.mark.parametrize(
    "name", [name for name in weights.available() if weights.find(name).suffix == ".onnx"]
)
def test_shipped_models_keep_every_rule(name):
    assert read_onnx(weights.find(name).read_bytes()).operators
