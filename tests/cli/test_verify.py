"""``crossiqa verify``: the acceptance of an export, repeated where it will run."""

import json
import subprocess
import sys

import numpy as np


def test_an_artefact_is_accepted_against_its_original(crossiqa, micro_export):
    done = crossiqa(
        *("verify", micro_export.onnx, "--reference", micro_export.onnx, "--json"),
        *("--backend", "onnxruntime"),  # as the reference is computed
    )
    assert (done.code, done.err) == (0, "")
    facts = json.loads(done.out)
    assert facts["passed"] is True
    assert (facts["views"], facts["max_difference"]) == (243, 0)
    assert facts["backend"].startswith("onnxruntime")


def test_a_broken_runtime_is_exit_code_1_with_every_limit_and_the_furthest_views(
    crossiqa, micro_export, monkeypatch
):
    from crossiqa_edge.runtime.ort import OrtBackend

    sound, calls = OrtBackend.infer, []

    def off_by_one(self, views):
        calls.append(self)
        return sound(self, views) + np.float32(self is calls[0])  # the artefact is scored first

    monkeypatch.setattr(OrtBackend, "infer", off_by_one)
    done = crossiqa("verify", micro_export.onnx, "--reference", micro_export.onnx, "--backend", "onnxruntime")
    assert done.code == 1
    assert "refused" in done.out and "furthest" in done.out
    assert "a score differs by 1, allowed 0.01" in done.err


def test_another_models_graph_is_no_reference(crossiqa, micro_export):
    done = crossiqa("verify", micro_export.onnx, "--reference", "nano")
    assert (done.code, done.out, len(done.complaints)) == (2, "", 1)
    assert "give the original with --reference" in done.err


def test_without_a_shipped_original_the_reference_must_be_named(crossiqa, micro_export):
    done = crossiqa("verify", micro_export.onnx)
    assert done.code == 2
    assert "no shipped model has its weights (micro-test@" in done.err


def test_bare_weights_are_an_original_too(crossiqa, micro_export):
    done = crossiqa("verify", micro_export.onnx, "--reference", micro_export.weights)
    assert (done.code, done.err) == (0, "")
    assert f"against   {micro_export.weights} on torch" in done.out


def test_without_scipy_the_missing_extra_is_named(micro_export):

    code = (
        "import sys; sys.modules['scipy'] = None; from crossiqa_edge.cli.main import main; "
        f"main(['verify', {str(micro_export.onnx)!r}, '--reference', {str(micro_export.onnx)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'crossiqa-edge[" in done.stderr
    assert "Traceback" not in done.stderr


NO_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError(name)

sys.meta_path.insert(0, NoTorch())
from crossiqa_edge.cli.main import main
main(["verify", sys.argv[1], "--reference", sys.argv[1]])
"""


def test_it_needs_no_torch(micro_export):
    code = [sys.executable, "-c", NO_TORCH, str(micro_export.onnx)]
    done = subprocess.run(code, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
