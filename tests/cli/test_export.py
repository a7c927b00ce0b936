"""``crossiqa export``: prints what it measured, and leaves a file that can be used as it says."""

import shlex

import numpy as np
import pytest
from PIL import Image

from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.runtime.artefact import Artefact


def test_figures_hash_size_and_next_commands_that_work_are_printed(crossiqa, micro_export, tmp_path):
    output = tmp_path / "with space.onnx"
    done = crossiqa("export", micro_export.weights, "-o", output)
    assert (done.code, done.err) == (0, "")
    artefact = Artefact.open(output)
    for fact in (artefact.sha256, f"{artefact.size:,} bytes", artefact.card.identity, "opset 18"):
        assert fact in done.out
    assert "accepted  243 views: SRCC 1.00000" in done.out

    picture = tmp_path / "photo.png"
    Image.fromarray(photo_like(0, 240, 240)).save(picture)
    lines = [
        line.removeprefix("next: crossiqa ") for line in done.out.splitlines() if line.startswith("next")
    ]
    score = next(line for line in lines if line.startswith("score"))
    assert crossiqa(*shlex.split(score.replace("PHOTO", str(picture)))).code == 0
    assert any(line.startswith("verify") and shlex.split(line)[1] == str(output) for line in lines)


def printed_verification(done):
    """The arguments of the one ``crossiqa verify`` that was printed."""
    (line,) = [line for line in done.out.splitlines() if line.startswith("next: crossiqa verify")]
    return shlex.split(line.removeprefix("next: crossiqa "))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_printed_verification_of_ones_own_weights_works(crossiqa, micro_export, tmp_path, precision):
    weights = tmp_path / "my own.safetensors"
    weights.write_bytes(micro_export.weights.read_bytes())
    done = crossiqa("export", weights, "--precision", precision, "-o", tmp_path / "m.onnx")
    arguments = printed_verification(done)
    assert arguments[-2:] == ["--reference", str(weights)]
    verified = crossiqa(*arguments)
    assert (verified.code, verified.err) == (0, "")


def test_the_printed_verification_of_ones_own_graph_in_two_steps_works(crossiqa, micro_export, tmp_path):
    int8, repository = tmp_path / "m-int8.onnx", tmp_path / "repository"
    done = crossiqa("export", micro_export.onnx, "--precision", "int8", "-o", int8)
    assert crossiqa(*printed_verification(done)).code == 0
    options = ("--to", "triton-server", "--precision", "int8", "-o", repository)
    done = crossiqa("export", int8, *options, "--reference", micro_export.onnx)
    assert (done.code, done.err) == (0, "")
    verified = crossiqa(*printed_verification(done))  # of the graph in the repository
    assert (verified.code, verified.err) == (0, "")
    (graph,) = repository.rglob("model.onnx")
    assert Artefact.open(graph).card.acceptance["reference_bits"] == 32


def test_an_original_that_nobody_knows_is_asked_for(crossiqa, make_onnx, micro_export, tmp_path):
    path = make_onnx(precision="int8")
    done = crossiqa("export", path, "--to", "triton-server", "--precision", "int8", "--dry-run")
    assert done.code == 0, done.err
    assert len(done.complaints) == 1
    assert "no float32 original of tiny-test@" in done.err and "--reference" in done.err


def test_a_shipped_model_is_verified_without_naming_its_original(crossiqa, tmp_path):
    done = crossiqa("export", "nano", "--precision", "fp16", "-o", tmp_path / "m.onnx")
    assert printed_verification(done) == ["verify", str(tmp_path / "m.onnx")]


def test_the_file_lies_beside_the_weights_by_default(crossiqa, micro_export, tmp_path):
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(micro_export.weights.read_bytes())
    assert crossiqa("export", weights, "--precision", "fp16").code == 0
    assert Artefact.open(tmp_path / "mine-fp16.onnx").card.precision == "fp16"
    assert len(list(tmp_path.iterdir())) == 2


def test_the_search_prints_every_layer_with_its_cost_and_keeps_the_table(crossiqa, micro_export, tmp_path):
    options = ("--precision", "int8", "--search", "0.002", "--calibration", "mse")
    done = crossiqa("export", micro_export.onnx, *options, "-o", tmp_path / "m.onnx")
    assert done.code == 0, done.err
    table = Artefact.open(tmp_path / "m.onnx").card.quantisation
    assert table["method"] == "mse"
    assert table["search"]["limit"] == 0.002 and table["search"]["loss"] <= 0.002
    for row in table["search"]["layers"]:
        (line,) = [line for line in done.out.splitlines() if line.split()[:1] == [row["name"]]]
        assert line.split()[-1] == ("int8" if row["int8"] else "float")
        assert (row["name"] in table["float_layers"]) == (not row["int8"])


def test_the_weights_are_never_overwritten(crossiqa, micro_export, tmp_path):
    weights = tmp_path / "mine.onnx"
    weights.write_bytes(micro_export.weights.read_bytes())
    done = crossiqa("export", weights)
    assert done.code == 2
    assert "would overwrite the model" in done.err
    assert weights.read_bytes() == micro_export.weights.read_bytes()


def test_a_failed_acceptance_is_one_line_and_leaves_no_file(crossiqa, micro_export, tmp_path, monkeypatch):
    def other(self, views):
        return np.full(len(views), 50.0, np.float32)

    monkeypatch.setattr("crossiqa_edge.runtime.ort.OrtBackend.infer", other)
    done = crossiqa("export", micro_export.weights, "-o", tmp_path / "bad.onnx")
    assert done.code == 2
    assert len(done.complaints) == 1
    assert "not accepted against the float32 original (a score differs" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--to", "tensort"), "did you mean 'tensorrt'?"),
        (("--precision", "int4"), "did you mean 'int8'?"),
        (("--to", "openvino", "--precision", "fp16"), "use --precision fp32"),
        (("--to", "openvino", "--workspace", "100"), "tensorrt"),
        (("--precision", "int8", "--calibration", "max"), "choose from percentile, mse, entropy"),
    ],
)
def test_nonsense_is_one_line_with_what_makes_sense(crossiqa, micro_export, options, words):
    done = crossiqa("export", micro_export.weights, *options)
    assert (done.code, done.out, len(done.complaints)) == (2, "", 1)
    assert words in done.err


def test_a_dry_run_writes_nothing(crossiqa, micro_export, tmp_path):
    output = tmp_path / "m.onnx"
    done = crossiqa("export", micro_export.weights, "--precision", "int8", "--dry-run", "-o", output)
    assert done.code == 0
    assert done.out.splitlines()[-1] == f"3. write {output}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, b"", b"pickle?"])
def test_what_are_no_weights_is_one_line(crossiqa, tmp_path, content):
    path = tmp_path / "w.safetensors"
    if content is not None:
        path.write_bytes(content)
    done = crossiqa("export", path)
    assert (done.code, done.out, len(done.complaints)) == (2, "", 1)
    assert str(path) in done.err
