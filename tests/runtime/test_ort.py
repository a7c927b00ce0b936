"""The onnxruntime backend: right scores, right errors, and silence."""

import builtins
import threading

import numpy as np
import pytest
from tiny_graph import tiny_model

from crossiqa_edge.errors import ArtefactError, BackendError
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.ort import obstacle, open_backend


@pytest.fixture
def backend(tiny_onnx):
    return open_backend(Artefact.open(tiny_onnx), threads=1)


def random_views(count, seed=0, size=224):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_scores_of_any_batch(backend, count):
    views = random_views(count)
    scores = backend.infer(views)
    assert (scores.dtype, scores.shape) == (np.float32, (count,))
    np.testing.assert_allclose(scores, views.reshape(count, -1).mean(1) / 2.55, rtol=1e-4)


def test_it_says_what_it_is(backend):
    assert backend.describe == "onnxruntime cpu fp32"
    assert backend.reason == "asked for"


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
    with pytest.raises(BackendError, match="closed"):
        backend.infer(random_views(1))


def test_several_threads_may_share_it(backend):
    views = [random_views(2, seed) for seed in range(4)]
    scores = [None] * len(views)

    def work(i):
        scores[i] = backend.infer(views[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(views))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for got, given in zip(scores, views, strict=True):
        np.testing.assert_array_equal(got, backend.infer(given))


def scale_to(value):
    def edit(model):
        model.graph.initializer[1].raw_data = np.float32(value).tobytes()

    return edit


def unknown_operator(model):
    model.graph.node[0].op_type = "Nonesuch"


def impossible_axes(model):
    model.graph.initializer[0].raw_data = np.array([1, 2, 9], np.int64).tobytes()


@pytest.mark.parametrize("edit", [unknown_operator, impossible_axes])
def test_a_graph_that_onnxruntime_rejects_is_one_line_and_nothing_is_printed(make_onnx, edit, capfd):
    artefact = Artefact.open(make_onnx(edit))
    with pytest.raises(ArtefactError, match="onnxruntime does not accept this graph") as caught:
        open_backend(artefact)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def fail_at_run_time(model):
    """A reshape to 7 x 7 elements, which no batch has; only running it shows that."""
    onnx = pytest.importorskip("onnx")
    del model.graph.node[:]
    shape = onnx.numpy_helper.from_array(np.array([7, 7], np.int64), "shape")
    model.graph.initializer.append(shape)
    model.graph.node.append(onnx.helper.make_node("Cast", ["views"], ["pixels"], to=1))
    model.graph.node.append(onnx.helper.make_node("Reshape", ["pixels", "shape"], ["square"]))
    model.graph.node.append(onnx.helper.make_node("ReduceMean", ["square"], ["mean"], keepdims=0))
    model.graph.node.append(onnx.helper.make_node("Reshape", ["mean", "one"], ["score"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([-1], np.int64), "one"))


def test_a_failure_at_run_time_is_one_line_and_nothing_is_printed(make_onnx, capfd):
    backend = open_backend(Artefact.open(make_onnx(fail_at_run_time)))
    with pytest.raises(BackendError, match="onnxruntime failed") as caught:
        backend.infer(random_views(1))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("scale", [1.0, -1.0, np.nan])
def test_scores_outside_the_scale_are_refused(make_onnx, scale):
    backend = open_backend(Artefact.open(make_onnx(scale_to(scale))))
    with pytest.raises(ArtefactError, match=r"outside 0\.\.100"):
        backend.infer(np.full((1, 224, 224, 3), 200, np.uint8))


def test_rounding_beyond_the_ends_of_the_scale_is_clipped(make_onnx):
    backend = open_backend(Artefact.open(make_onnx(scale_to(100.05 / 255))))
    assert backend.infer(np.full((1, 224, 224, 3), 255, np.uint8)).tolist() == [100.0]


def test_the_session_has_the_bytes_that_were_checked(tmp_path):
    """Swapping the file between the check and the opening gains nothing."""
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny_model().SerializeToString())
    artefact = Artefact.open(path)
    path.write_bytes(tiny_model(None).SerializeToString())
    with pytest.raises(ArtefactError, match="changed"):
        open_backend(artefact)


def test_onnxruntime_that_does_not_start_is_a_backend_error(tiny_onnx, monkeypatch):
    real = builtins.__import__

    def broken(name, *arguments, **options):
        if name == "onnxruntime":
            raise ImportError("libstdc++.so.6:\nversion not found")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(BackendError, match=r"does not start \(libstdc\+\+.so.6: version"):
        open_backend(Artefact.open(tiny_onnx))


def test_obstacles_are_told_in_words(tiny_onnx, monkeypatch):
    artefact = Artefact.open(tiny_onnx)
    assert obstacle(artefact) is None
    monkeypatch.setattr("crossiqa_edge.runtime.ort.find_spec", lambda name: None)
    assert "pip install onnxruntime" in obstacle(artefact)
