"""The model repository, read as the server would: its message types, and the graph that is really there."""

import json

import numpy as np
import pytest

from crossiqa_edge.errors import OutputError
from crossiqa_edge.export.targets import Options
from crossiqa_edge.export.triton_server import build
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.ort import open_backend

text_format = pytest.importorskip("google.protobuf.text_format")
messages = pytest.importorskip("tritonclient.grpc.model_config_pb2")


def silent(stage, share=None):
    pass


@pytest.fixture
def repository(tmp_path, micro_export):
    source = Artefact.open(micro_export.onnx)
    graph = build(source, tmp_path / "repository", Options(opt_batch=4, max_batch=16), silent)
    return source, graph


def config_of(graph):
    return text_format.Parse((graph.parents[1] / "config.pbtxt").read_text(), messages.ModelConfig())


def test_the_layout_is_the_servers(repository, tmp_path):
    _, graph = repository
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert files == [
        "repository/crossiqa-micro-test-fp32/1/model.onnx",
        "repository/crossiqa-micro-test-fp32/card.json",
        "repository/crossiqa-micro-test-fp32/config.pbtxt",
    ]
    card = json.loads((graph.parents[1] / "card.json").read_text())
    assert (card["name"], card["acceptance"]) == ("micro-test", {})  # not judged yet


def test_the_config_is_the_servers_message_and_says_what_the_graph_is(repository):
    source, graph = repository
    config = config_of(graph)
    assert config.name == graph.parents[1].name
    assert config.backend == "onnxruntime"
    assert config.max_batch_size == 16
    (views,), (score,) = config.input, config.output
    size = source.card.view_size
    assert (views.name, views.data_type, list(views.dims)) == ("views", messages.TYPE_UINT8, [size, size, 3])
    assert (score.name, score.data_type, list(score.dims)) == ("score", messages.TYPE_FP32, [1])
    assert score.HasField("reshape")
    assert list(score.reshape.shape) == []
    assert list(config.dynamic_batching.preferred_batch_size) == [4, 16]
    assert config.dynamic_batching.max_queue_delay_microseconds > 0
    assert [group.kind for group in config.instance_group] == [messages.ModelInstanceGroup.KIND_AUTO]
    assert config.parameters["model_identity"].string_value == source.card.identity


def test_the_graph_gives_the_scores_of_its_source(repository):
    source, graph = repository
    size = source.card.view_size
    views = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), np.uint8)
    expected = open_backend(source).infer(views)
    np.testing.assert_allclose(open_backend(Artefact.open(graph)).infer(views), expected, atol=1e-3)


def test_a_name_with_quotes_does_not_leave_its_string(make_onnx, tmp_path):
    source = Artefact.open(make_onnx(name='a"} evil: "b\\'))
    config = config_of(build(source, tmp_path / "repository", Options(), silent))
    assert config.parameters["model_identity"].string_value == source.card.identity


def test_what_exists_is_left_alone(tmp_path, micro_export):
    (tmp_path / "repository").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        build(Artefact.open(micro_export.onnx), tmp_path / "repository", Options(), silent)
    assert list((tmp_path / "repository").iterdir()) == []
