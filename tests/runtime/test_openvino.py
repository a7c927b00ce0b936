"""The OpenVINO backend: onnxruntime's scores, from ONNX and from OpenVINO's own form."""

import builtins
import threading

import numpy as np
import pytest

from crossiqa_edge.errors import ArtefactError, BackendError
from crossiqa_edge.runtime import ort
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.openvino import _settings, obstacle, open_backend

pytest.importorskip("openvino", reason="needs the openvino extra")


def random_views(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 224, 224, 3), np.uint8)


@pytest.fixture(scope="module")
def backend(tiny_onnx):
    return open_backend(Artefact.open(tiny_onnx), threads=1)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_scores_of_any_batch(backend, count):
    views = random_views(count)
    scores = backend.infer(views)
    assert (scores.dtype, scores.shape) == (np.float32, (count,))
    np.testing.assert_allclose(scores, views.reshape(count, -1).mean(1) / 2.55, rtol=1e-4)


def test_a_network_scores_as_with_onnxruntime(micro_export):
    artefact = Artefact.open(micro_export.onnx)
    views = random_views(3)
    expected = ort.open_backend(artefact).infer(views)
    # float32 sums in another order, as between onnxruntime and torch
    np.testing.assert_allclose(open_backend(artefact).infer(views), expected, atol=1e-3)


def test_scores_outlive_the_next_inference(backend):
    first = backend.infer(random_views(2, seed=1))
    kept = first.copy()
    backend.infer(random_views(2, seed=2))
    np.testing.assert_array_equal(first, kept)


def test_views_that_are_not_contiguous_are_scored_alike(backend):
    views = random_views(2)[:, :, ::-1]
    np.testing.assert_allclose(backend.infer(views), backend.infer(views.copy()))


def test_several_threads_at_once(backend):
    views = [random_views(2, seed) for seed in range(8)]
    expected = [backend.infer(batch) for batch in views]
    given = [None] * len(views)

    def score(index):
        given[index] = backend.infer(views[index])

    threads = [threading.Thread(target=score, args=(index,)) for index in range(len(views))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(given, expected)


def test_it_says_what_it_is(backend):
    assert (backend.describe, backend.reason) == ("openvino cpu fp32", "asked for")


def test_views_of_another_shape_are_refused(backend):
    with pytest.raises(BackendError, match=r"views are uint8 \(1 or more, 224, 224, 3\)"):
        backend.infer(np.zeros((1, 112, 112, 3), np.uint8))


def test_a_closed_model_says_so(tiny_onnx):
    backend = open_backend(Artefact.open(tiny_onnx))
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="was closed"):
        backend.infer(random_views(1))


def test_a_graph_that_openvino_rejects_is_one_line(make_onnx):
    def missing_input(model):
        model.graph.node[2].input[1] = "nonesuch"

    with pytest.raises(ArtefactError, match="OpenVINO does not accept this graph") as caught:
        open_backend(Artefact.open(make_onnx(missing_input)))
    assert "\n" not in str(caught.value)


def test_float32_is_never_computed_in_bfloat16(make_onnx):
    assert _settings(Artefact.open(make_onnx()), None)["INFERENCE_PRECISION_HINT"] == "f32"
    assert "INFERENCE_PRECISION_HINT" not in _settings(Artefact.open(make_onnx(precision="int8")), None)


def test_openvino_that_does_not_start_is_a_backend_error(tiny_onnx, monkeypatch):
    real = builtins.__import__

    def broken(name, *arguments, **options):
        if name == "openvino":
            raise ImportError("libtbb.so.12:\nno such file")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(BackendError, match=r"does not start \(libtbb.so.12: no such file"):
        open_backend(Artefact.open(tiny_onnx))


def test_obstacles_are_told_in_words(tiny_onnx, monkeypatch):
    artefact = Artefact.open(tiny_onnx)
    assert obstacle(artefact) is None
    monkeypatch.setattr("crossiqa_edge.runtime.openvino.find_spec", lambda name: None)
    assert "pip install 'crossiqa-edge[openvino]'" in obstacle(artefact)
