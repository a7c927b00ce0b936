"""Hostile ONNX files must be refused by our own reader, before any library opens them."""

import random
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_graph import TINY_CARD, tiny_model

from crossiqa_edge.card import CARD_KEY
from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.runtime import onnx_rules, onnxfile
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.onnxfile import FLOAT, UINT8, Port, read_onnx

onnx = pytest.importorskip("onnx", reason="building hostile graphs needs the onnx package")
helper, TensorProto = onnx.helper, onnx.TensorProto


def external_tensor():
    tensor = TensorProto(name="stolen", data_type=TensorProto.UINT8, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def constant(attribute):
    node = helper.make_node("Constant", [], ["c"])
    node.attribute.append(attribute)
    return node


def subgraph(node):
    return helper.make_graph([node], "inner", [], [])


def in_initializer(model):
    model.graph.initializer.append(external_tensor())


def by_location_alone(model):
    tensor = external_tensor()
    del tensor.external_data[:]
    model.graph.initializer.append(tensor)


def by_entry_alone(model):
    tensor = external_tensor()
    tensor.data_location = TensorProto.DEFAULT
    model.graph.initializer.append(tensor)


def in_sparse_values(model):
    model.graph.sparse_initializer.add().values.CopyFrom(external_tensor())


def in_sparse_indices(model):
    model.graph.sparse_initializer.add().indices.CopyFrom(external_tensor())


def in_attribute(model):
    model.graph.node.append(constant(helper.make_attribute("value", external_tensor())))


def in_attribute_list(model):
    model.graph.node.append(constant(helper.make_attribute("values", [external_tensor()])))


def in_sparse_attribute(model):
    attribute = onnx.AttributeProto(name="sparse_value", type=onnx.AttributeProto.SPARSE_TENSOR)
    attribute.sparse_tensor.values.CopyFrom(external_tensor())
    model.graph.node.append(constant(attribute))


def in_subgraph(model):
    inner = subgraph(constant(helper.make_attribute("value", external_tensor())))
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=inner))


def in_subgraph_list(model):
    inner = subgraph(constant(helper.make_attribute("value", external_tensor())))
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], branches=[inner]))


def in_function(model):
    node = constant(helper.make_attribute("value", external_tensor()))
    model.functions.append(helper.make_function("crossiqa", "f", [], ["c"], [node], []))


def in_function_default(model):
    function = helper.make_function("crossiqa", "f", [], [], [], [])
    function.attribute_proto.append(helper.make_attribute("value", external_tensor()))
    model.functions.append(function)


def in_training(model):
    model.training_info.add().algorithm.initializer.append(external_tensor())


EXTERNAL = [
    in_initializer,
    by_location_alone,
    by_entry_alone,
    in_sparse_values,
    in_sparse_indices,
    in_attribute,
    in_attribute_list,
    in_sparse_attribute,
    in_subgraph,
    in_subgraph_list,
    in_function,
    in_function_default,
    in_training,
]


@pytest.mark.parametrize("hide", EXTERNAL)
def test_external_data_is_refused_wherever_it_hides(hide):
    model = tiny_model()
    hide(model)
    with pytest.raises(ArtefactError, match=r"^evil\.onnx: its tensors lie in other files"):
        read_onnx(model.SerializeToString(), "evil.onnx")


def test_external_location_is_refused_when_only_the_low_bits_say_so():
    """Protobuf keeps 32 bits of an enum: 2**32 + 1 is EXTERNAL to a parser that truncates."""
    location = bytes([14 << 3]) + varint((1 << 32) + 1)
    with pytest.raises(ArtefactError, match="other files"):
        read_onnx(field(7, field(5, location)))


def domain_of_node(model):
    model.graph.node.append(helper.make_node("Steal", [], ["c"], domain="evil.ops"))


def domain_in_subgraph(model):
    inner = subgraph(helper.make_node("Steal", [], ["c"], domain="evil.ops"))
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=inner))


def domain_of_opset(model):
    model.opset_import.append(helper.make_opsetid("evil.ops", 1))


def domain_of_function(model):
    model.functions.append(helper.make_function("evil.ops", "f", [], [], [], []))


def domain_in_function(model):
    node = helper.make_node("Steal", [], ["c"], domain="evil.ops")
    model.functions.append(helper.make_function("crossiqa", "f", [], [], [node], []))


@pytest.mark.parametrize(
    "hide", [domain_of_node, domain_in_subgraph, domain_of_opset, domain_of_function, domain_in_function]
)
def test_unknown_operator_domains_are_refused(hide):
    model = tiny_model()
    hide(model)
    with pytest.raises(ArtefactError, match="unknown operator domain 'evil"):
        read_onnx(model.SerializeToString())


def operator_of_graph(model, *operator):
    model.graph.node.append(helper.make_node(operator[1], ["x"], ["y"], domain=operator[0]))


def operator_in_subgraph(model, *operator):
    inner = subgraph(helper.make_node(operator[1], ["x"], ["y"], domain=operator[0]))
    model.graph.node.append(helper.make_node("Softmax", ["x"], ["y"], then_branch=inner))


def operator_in_function(model, *operator):
    node = helper.make_node(operator[1], ["x"], ["y"], domain=operator[0])
    model.functions.append(helper.make_function("crossiqa", "f", [], [], [node], []))


@pytest.mark.parametrize("hide", [operator_of_graph, operator_in_subgraph, operator_in_function])
@pytest.mark.parametrize(
    "operator",
    [
        ("com.microsoft", "EPContext"),  # a cached engine of an execution provider: reads other files
        ("com.microsoft", "DecoderMaskedMultiHeadAttention"),
        ("", "If"),
        ("", "Loop"),  # may run for ever
        ("", "ImageDecoder"),
        ("", "RandomNormal"),
        ("ai.onnx", "StringConcat"),
        ("crossiqa", "Anything"),
    ],
)
def test_operators_that_no_model_of_ours_has_are_refused(hide, operator):
    model = tiny_model()
    hide(model, *operator)
    with pytest.raises(
        ArtefactError, match=f"the operator '.*{operator[1]}' is none that a model of ours has"
    ):
        read_onnx(model.SerializeToString())


def test_more_nodes_than_a_model_has_are_refused():
    model = tiny_model()
    nodes = helper.make_node("Mul", ["x", "x"], ["y"]).SerializeToString()
    graph = model.graph.SerializeToString() + field(1, nodes) * (onnx_rules.MAX_NODES + 1)
    with pytest.raises(ArtefactError, match="more than 20000 nodes"):
        read_onnx(field(7, graph))


def test_a_model_file_that_is_a_link_to_a_device_or_elsewhere_reads_no_more_than_a_model(tmp_path):
    link = tmp_path / "model.onnx"
    link.symlink_to("/dev/zero")
    with pytest.raises(ArtefactError, match="not a model file"):
        Artefact.open(link)


def test_a_sound_file_is_read_as_onnx_reads_it():
    model = tiny_model()
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model.metadata_props.add(key="ä", value="ö")
    found = read_onnx(model.SerializeToString())
    assert found.metadata == {CARD_KEY: TINY_CARD.to_json(), "ä": "ö"}
    assert found.inputs == [Port("views", UINT8, ("batch", 224, 224, 3))]
    assert found.outputs == [Port("score", FLOAT, ("batch",))]
    assert (found.opset, found.opsets) == (18, {"": 18, "com.microsoft": 1})
    assert found.operators == {("", "Cast"), ("", "ReduceMean"), ("", "Mul")}


def test_ports_keep_their_order_and_those_of_subgraphs_are_not_taken_for_the_graphs_own():
    model = tiny_model()
    model.graph.input.append(helper.make_tensor_value_info("second", TensorProto.FLOAT, [None, 2]))
    extra = helper.make_tensor_value_info("inner", TensorProto.FLOAT, [])
    inner = helper.make_graph([], "inner", [extra], [extra])
    model.graph.node.append(helper.make_node("Softmax", ["x"], ["y"], then_branch=inner))
    found = read_onnx(model.SerializeToString())
    assert [port.name for port in found.inputs] == ["views", "second"]
    assert found.inputs[1].dims == (None, 2)
    assert [port.name for port in found.outputs] == ["score"]


def test_two_graphs_in_one_file_are_refused():
    """Protobuf merges them into one; a reader that looks at either alone would see another model."""
    data = tiny_model().SerializeToString()
    with pytest.raises(ArtefactError, match="2 graphs"):
        read_onnx(data + field(7, b""))


def test_deep_nesting_is_refused():
    message = b""
    for _ in range(3000):
        message = field(1, field(5, field(6, message)))  # a graph in an attribute of a node of a graph
    with pytest.raises(ArtefactError, match="nested too deeply"):
        read_onnx(field(7, message))


def test_too_many_fields_and_too_many_bytes_are_refused(monkeypatch):
    started = time.perf_counter()
    with pytest.raises(ArtefactError, match="more than 500000 fields"):
        read_onnx(field(7, field(11, b"") * 600_000))
    assert time.perf_counter() - started < 30
    monkeypatch.setattr(onnxfile, "MAX_BYTES", 100)
    with pytest.raises(ArtefactError, match="larger than"):
        read_onnx(bytes(101))


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 40,  # a varint without an end
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # a graph of 2**64 bytes
        b"\x3a\x05\x0a",  # a graph longer than the file
        b"\x3b\x3c",  # groups, which proto3 has not
        b"\x38\x01",  # the graph as a number
        b"\x00\x01",  # field 0
        b"\x09\x00",  # a truncated fixed64
        b"",
    ],
)
def test_damaged_protobuf_is_one_line_of_ours(data):
    with pytest.raises(ArtefactError, match=r"^x: not a sound ONNX file .*get the file again$") as caught:
        read_onnx(data, "x")
    assert "\n" not in str(caught.value)


SOUND = tiny_model().SerializeToString()


def attempt(data):
    try:
        read_onnx(data)
    except ArtefactError as error:
        assert "\n" not in str(error)


@settings(max_examples=300, deadline=10_000, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=2000))
def test_any_bytes_raise_nothing_but_our_error(data):
    attempt(data)
    attempt(field(7, data))


def test_any_flipped_bits_cut_or_doubled_parts_raise_nothing_but_our_error():
    chance = random.Random(0)
    for _ in range(1500):
        data = bytearray(SOUND)
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        start, end = sorted(chance.choices(range(len(data)), k=2))
        attempt(bytes(data))
        attempt(bytes(data[:end]))
        attempt(bytes(data[:end] + data[start:]))


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number, payload):
    """A length-delimited field in protobuf's wire format."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload
