"""``crossiqa export`` refuses what cannot work in a line, with ``--dry-run`` too, and before it starts."""

import shutil
import sys

import pytest

from crossiqa_edge import weights
from crossiqa_edge.export import trt_builder
from crossiqa_edge.runtime import devices


@pytest.fixture
def no_gpu(monkeypatch):
    """A machine with TensorRT and TensorRT for RTX, and without a GPU."""
    monkeypatch.setattr(devices, "runtime_version", lambda name: "1.7.1")
    for home in (devices, trt_builder):
        monkeypatch.setattr(home, "device", lambda: None)


RTX = ("--to", "tensorrt-rtx")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((*RTX, "--compute-capability", "75", "--compute-capability", "86"), "build for it alone"),
        ((*RTX, "--precision", "fp16", "--compute-capability", "70"), "choose from 75"),
        ((*RTX, "--precision", "fp16", "--strip-weights"), "leave it out"),
        ((*RTX, "--opset", "23"), "use --opset 18"),
        (("--to", "tensorrt", "--precision", "fp16"), "--to tensorrt-rtx builds without one"),
        (("--to", "openvino", "--opset", "23"), "give the weights"),
        (("--calibration", "mse"), "use --precision int8"),
        (("--calibration", "percentile", "--precision", "fp16"), "use --precision int8"),
        (("--smoothing", "0.5", "--precision", "fp16"), "use --precision int8"),
        (("--precision", "int8", "--search", "-1"), "from 0 to 1"),
        (("--precision", "int8", "--search", "nan"), "from 0 to 1"),
    ],
)
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_it_is_refused_before_work(crossiqa, micro_export, tmp_path, no_gpu, options, words, dry):
    done = crossiqa("export", micro_export.onnx, *options, *dry, "-o", tmp_path / "made")
    assert (done.code, done.out, len(done.complaints)) == (2, "", 1)
    assert words in done.err
    assert list(tmp_path.iterdir()) == []


def test_the_library_that_is_missing_is_named(crossiqa, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "runtime_version", lambda name: None)
    done = crossiqa("export", "nano", "--to", "tensorrt", "--dry-run", "-o", tmp_path / "made")
    assert (done.code, done.out) == (2, "")
    assert "pip install 'crossiqa-edge[tensorrt]'" in done.err


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_so_is_the_one_that_the_target_needs(crossiqa, tmp_path, monkeypatch, dry):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "crossiqa_edge.export.openvino", raising=False)
    done = crossiqa(
        "export", "nano", "--to", "openvino", "--precision", "int8", *dry, "-o", tmp_path / "made"
    )
    assert (done.code, done.out, len(done.complaints)) == (2, "", 1)
    assert "pip install 'crossiqa-edge[openvino]'" in done.err


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_the_model_is_not_written_over_by_the_graph_beside_an_engine(crossiqa, no_gpu, tmp_path, dry):
    model = tmp_path / "nano.onnx"
    shutil.copy(weights.find("nano"), model)
    options = (*RTX, "--precision", "int8", "--compute-capability", "86", "-o", tmp_path / "nano.engine")
    done = crossiqa("export", model, *options, *dry)
    assert (done.code, done.out, len(done.complaints)) == (2, "", 1)
    assert f"{model}: this would overwrite the model" in done.err
    assert model.read_bytes() == weights.find("nano").read_bytes()
