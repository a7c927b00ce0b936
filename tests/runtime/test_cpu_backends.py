"""What every backend on the CPU must do alike, held by onnxruntime and by OpenVINO."""

from __future__ import annotations

import builtins
import threading
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest

from crossiqa_edge.errors import ArtefactError, BackendError
from crossiqa_edge.runtime.artefact import Artefact

# Backend -> (its module, its library, how its errors name it, what to install).
BACKENDS = {
    "onnxruntime": ("crossiqa_edge.runtime.ort", "onnxruntime", "onnxruntime"),
    "openvino": ("crossiqa_edge.runtime.openvino", "OpenVINO", "'crossiqa-edge[openvino]'"),
}


@pytest.fixture(params=BACKENDS)
def name(request):
    if find_spec(request.param) is None:
        pytest.skip(f"needs {request.param}")
    return request.param


@pytest.fixture
def module(name):
    return import_module(BACKENDS[name][0])


@pytest.fixture
def backend(module, tiny_onnx):
    return module.open_backend(Artefact.open(tiny_onnx), threads=1)


def random_views(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 224, 224, 3), np.uint8)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_scores_of_any_batch(backend, count):
    views = random_views(count)
    scores = backend.infer(views)
    assert (scores.dtype, scores.shape) == (np.float32, (count,))
    np.testing.assert_allclose(scores, views.reshape(count, -1).mean(1) / 2.55, rtol=1e-4)


def test_scores_outlive_the_next_inference(backend):
    first = backend.infer(random_views(2, seed=1))
    kept = first.copy()
    backend.infer(random_views(2, seed=2))
    np.testing.assert_array_equal(first, kept)


def test_it_says_what_it_is(backend, name):
    assert (backend.describe, backend.reason) == (f"{name} cpu fp32", "asked for")


def test_views_that_are_not_contiguous_are_scored_alike(backend):
    views = random_views(2)[:, :, ::-1]
    assert not views.flags.c_contiguous
    np.testing.assert_allclose(backend.infer(views), backend.infer(views.copy()))


@pytest.mark.parametrize(
    "views",
    [
        np.zeros((1, 224, 224, 3), np.float32),
        np.zeros((224, 224, 3), np.uint8),
        np.zeros((1, 3, 224, 224), np.uint8),
        np.zeros((1, 112, 112, 3), np.uint8),
        np.zeros((0, 224, 224, 3), np.uint8),
    ],
)
def test_views_of_another_type_or_shape_are_refused(backend, views):
    with pytest.raises(BackendError, match=r"views are uint8 \(1 or more, 224, 224, 3\)"):
        backend.infer(views)


def test_a_closed_model_says_so(backend):
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="was closed"):
        backend.infer(random_views(1))


def test_several_threads_may_share_it(backend):
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


def test_a_graph_that_is_rejected_is_one_line_and_nothing_is_printed(module, name, make_onnx, capfd):
    def missing_input(model):
        model.graph.node[2].input[1] = "nonesuch"

    artefact = Artefact.open(make_onnx(missing_input))
    with pytest.raises(ArtefactError, match=f"{BACKENDS[name][1]} does not accept this graph") as caught:
        module.open_backend(artefact)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_library_that_does_not_start_is_a_backend_error(module, name, tiny_onnx, monkeypatch):
    real = builtins.__import__

    def broken(wanted, *arguments, **options):
        if wanted == name:
            raise ImportError("libfoo.so.6:\nversion not found")
        return real(wanted, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(BackendError, match=r"does not start \(libfoo.so.6: version not found"):
        module.open_backend(Artefact.open(tiny_onnx))


def test_obstacles_are_told_in_words(module, name, tiny_onnx, monkeypatch):
    artefact = Artefact.open(tiny_onnx)
    assert module.obstacle(artefact) is None
    monkeypatch.setattr(module, "find_spec", lambda wanted: None)
    assert f"pip install {BACKENDS[name][2]}" in module.obstacle(artefact)
