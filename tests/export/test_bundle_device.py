"""The scripts of a bundle: what they say of their device, and of a bundle that is not as it was made."""

import inspect
import json
import shutil
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bundle_run import bare, on_device, python
from engine_files import PLAN
from precisions import half_graph

from crossiqa_edge.errors import BackendError
from crossiqa_edge.export import device_build, device_selftest, tensorrt
from crossiqa_edge.export.bundle_readme import trtexec
from crossiqa_edge.export.trt_builder import Plan
from crossiqa_edge.runtime import devices, engine_cache
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.devices import Device
from crossiqa_edge.runtime.scorer import Scorer

SCRIPTS = ("selftest.py", "build_engine.py")
UNUSED = "None False\n"  # what ``on_device`` adds where the package was not imported


@pytest.fixture
def copy(bundle, tmp_path):
    """A copy that a test may damage."""
    return Path(shutil.copytree(bundle, tmp_path / "copy"))


def test_the_self_test_agrees_in_a_clean_process(bundle):
    done = on_device(bundle, "selftest.py", "--backend", "onnxruntime")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("stored") == 4
    assert "agrees: at most" in done.stdout
    home, torch = done.stderr.split()
    assert Path(home) == bundle / "python" / "crossiqa_edge" / "__init__.py"
    assert torch == "False"


def test_the_self_test_tells_another_score(copy):
    manifest = json.loads((copy / "bundle.json").read_text())
    manifest["scores"][1]["score"] += manifest["tolerance"] + 0.1
    (copy / "bundle.json").write_text(json.dumps(manifest))
    done = on_device(copy, "selftest.py", "--backend", "onnxruntime")
    assert done.returncode == 1
    assert "DIFFERS" in done.stdout


def test_the_self_test_names_what_changed_on_the_way(copy):
    (copy / "pictures" / "blur.png").unlink()
    (copy / "card.json").write_text("{}")
    done = on_device(copy, "selftest.py")
    assert done.returncode == 2
    assert "card.json, pictures/blur.png" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif("tensorrt" in {item.name for item in metadata.distributions()}, reason="TensorRT is here")
def test_without_tensorrt_the_build_script_says_so_in_a_line(bundle):
    done = on_device(bundle, "build_engine.py", "--max-batch", "4")
    assert done.returncode == 2
    assert done.stderr.startswith("build_engine: tensorrt is not installed")
    assert "Traceback" not in done.stderr


def test_the_build_script_refuses_batches_that_fall(bundle):
    done = on_device(bundle, "build_engine.py", "--max-batch", "4", "--opt-batch", "8")
    assert done.returncode == 2
    assert "--max-batch" in done.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_links_inside_a_bundle_are_refused_though_they_lead_to_the_same_bytes(copy, source, tmp_path, script):
    (copy / "model.onnx").unlink()
    (copy / "model.onnx").symlink_to(source.path)
    pictures = (copy / "pictures").rename(tmp_path / "elsewhere")
    (copy / "pictures").symlink_to(pictures)
    done = on_device(copy, script)
    assert done.returncode == 2
    assert "or a link: model.onnx, pictures/blur.png, pictures/jpeg.png" in done.stderr
    assert done.stderr.endswith(UNUSED)


@pytest.mark.parametrize("script", SCRIPTS)
def test_nothing_of_the_package_is_run_where_it_is_a_link(copy, tmp_path, script):
    elsewhere = (copy / "python").rename(tmp_path / "elsewhere")
    (copy / "python").symlink_to(elsewhere)
    done = on_device(copy, script)
    assert (done.returncode, done.stdout) == (2, "")
    assert "or a link: python/crossiqa_edge/__init__.py, " in done.stderr
    assert done.stderr.endswith(UNUSED)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_broken_module_is_named_and_not_run(copy, script):
    (copy / "python" / "crossiqa_edge" / "card.py").write_text("def broken(:\n")
    done = on_device(copy, script)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"{script.removesuffix('.py')}: changed since the bundle was made, missing, or a link: "
        "python/crossiqa_edge/card.py; get the bundle again",
        UNUSED.strip(),
    ]


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize(
    "manifest", [None, "", "{", "[]", "{}", '{"files": 3}', '{"files": {}}', '{"files": {"model.onnx": 3}}']
)
def test_a_damaged_manifest_is_a_line_and_no_differing_score(copy, script, manifest):
    if manifest is None:
        (copy / "bundle.json").unlink()
    else:
        (copy / "bundle.json").write_text(manifest)
    done = on_device(copy, script)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 2
    assert done.stderr.endswith(UNUSED)


def test_a_manifest_that_is_a_link_is_refused(copy, tmp_path):
    (copy / "bundle.json").symlink_to((copy / "bundle.json").rename(tmp_path / "elsewhere.json"))
    for script in SCRIPTS:
        done = on_device(copy, script)
        assert done.returncode == 2
        assert "bundle.json is a link" in done.stderr


@pytest.mark.parametrize("lost", ["scores", "tolerance"])
def test_a_manifest_without_scores_lets_none_differ(copy, lost):
    manifest = json.loads((copy / "bundle.json").read_text())
    del manifest[lost]
    (copy / "bundle.json").write_text(json.dumps(manifest))
    done = on_device(copy, "selftest.py", "--backend", "onnxruntime")
    assert done.returncode == 2
    assert f"selftest: KeyError: '{lost}'" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_package_that_was_not_installed_is_a_line_with_the_command(bundle, script):
    done = bare(bundle, script)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{script.removesuffix('.py')}: No module named ")
    assert line.endswith("pip install -r requirements.txt")


_COMMAND_LINE = "from crossiqa_edge.cli.main import main; main()"


@pytest.mark.parametrize("verb", [("serve", "--model", "model.onnx"), ("evaluate", "model.onnx")])
def test_what_the_bundled_command_line_cannot_do_is_a_line(bundle, verb):
    done = python(bundle, _COMMAND_LINE, *verb, path=["python"])
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.endswith("for the rest: pip install crossiqa-edge")


def test_the_bundled_doctor_looks_at_the_bundles_model(bundle):
    done = python(bundle, _COMMAND_LINE, "doctor", "--json", path=["python"])
    findings = json.loads(done.stdout)
    assert (done.returncode, findings["ok"]) == (0, True), findings["self_check"]
    assert findings["self_check"]["model"].startswith("micro-test@")


def test_both_scripts_look_for_the_same():
    for name in ("_problem", "_is_sound"):
        assert inspect.getsource(getattr(device_build, name)) == inspect.getsource(
            getattr(device_selftest, name)
        )


@pytest.fixture
def jetson(bundle, tmp_path, monkeypatch):
    """A device whose engines give what onnxruntime gives for the bundle's graph, plus ``error`` points.

    ``found`` is what a backend would find while the engine is judged; ``options``, what the builder was told.
    """
    state = SimpleNamespace(error=0.0, wrong=None, options=[], found=[])
    real = Scorer.load

    def usable():
        return engine_cache.find(Artefact.open(device_build.HERE / "model.onnx").sha256, "tensorrt")[0]

    def compiled(runtime, graph, options, *rest, **named):
        state.options.append(options)
        return Plan(PLAN, [], None)

    def load(model, *, backend):
        assert (Artefact.open(model).kind, backend) == ("engine", "tensorrt")
        scorer = real(device_build.HERE / "model.onnx", backend="onnxruntime")
        infer = scorer.backend.infer

        def changed(views):
            state.found.append(usable())
            if state.wrong:
                raise state.wrong
            return infer(views) + np.float32(state.error)

        scorer.backend.infer = changed
        return scorer

    state.usable = usable
    monkeypatch.setattr(device_build, "HERE", bundle)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("installed_version", "runtime_version"):
        monkeypatch.setattr(devices, name, lambda name: "10.3.0")
    monkeypatch.setattr(devices, "device", lambda: Device("Orin", 87))
    monkeypatch.setattr(tensorrt, "compile_plan", compiled)
    monkeypatch.setattr(Scorer, "load", load)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return state


@pytest.fixture
def built(jetson, monkeypatch):
    """``built("--dla", "1")``: exit code, and the options that the script gives to the builder."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["build_engine.py", *arguments])
        return device_build.main(), (jetson.options or [None])[-1]

    return run


def test_an_engine_that_gives_the_stored_scores_is_found_once_they_were_compared(built, jetson, capsys):
    assert built()[0] == 0
    assert jetson.found == [None] * 4
    assert jetson.usable().header.card.acceptance == {}
    out = capsys.readouterr().out
    assert out.count("stored") == 4 and "agrees: at most" in out and "next: python3 selftest.py" in out


@pytest.mark.parametrize("error", [3.0, -3.0])
def test_an_engine_that_gives_other_scores_is_kept_nowhere(built, jetson, capsys, error):
    jetson.error = error
    assert built()[0] == 1
    assert engine_cache.entries() == []
    told = capsys.readouterr()
    assert "DIFFERS" in told.out and "next:" not in told.out
    assert told.err == "build_engine: the engine does not give the stored scores; not kept\n"


def test_an_engine_that_gave_the_stored_scores_and_gives_others_now_leaves_the_cache(built, jetson):
    built()
    jetson.error = 3.0
    assert built()[0] == 1
    assert len(jetson.options) == 1, "it was not built again"
    assert engine_cache.entries() == []


def test_an_engine_that_fails_while_it_is_judged_is_a_line_and_not_kept(built, jetson, capsys):
    jetson.wrong = BackendError("CUDA: out of memory")
    assert built()[0] == 2
    assert engine_cache.entries() == []
    assert capsys.readouterr().err == "build_engine: CUDA: out of memory\n"


def test_an_interrupt_while_it_is_judged_leaves_no_engine(built, jetson):
    jetson.wrong = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        built()
    assert engine_cache.entries() == []


@pytest.mark.parametrize("lost", ["scores", "tolerance"])
def test_without_stored_scores_nothing_is_built(built, jetson, copy, monkeypatch, capsys, lost):
    monkeypatch.setattr(device_build, "HERE", copy)
    manifest = json.loads((copy / "bundle.json").read_text())
    del manifest[lost]
    (copy / "bundle.json").write_text(json.dumps(manifest))
    assert built() == (2, None)
    assert "no scores to compare with" in capsys.readouterr().err


def test_the_build_script_passes_on_what_it_is_told(built):
    code, options = built("--opt-batch", "2", "--max-batch", "5", "--workspace", "512")
    assert code == 0
    assert (options.opt_batch, options.max_batch, options.workspace, options.dla) == (2, 5, 512, None)


def test_the_build_script_has_the_batches_of_the_readmes_trtexec_by_default(built, bundle):
    _, options = built()
    views = "x224x224x3"
    assert f"--optShapes=views:{options.opt_batch}{views} --maxShapes=views:{options.max_batch}{views}" in (
        trtexec(224)
    )
    assert trtexec(224) in (bundle / "README.md").read_text()


def test_the_accelerator_is_asked_for_by_number_where_it_computes_the_precision(
    built, bundle, source, tmp_path, monkeypatch, capsys
):
    assert built("--dla", "0") == (2, None)  # the bundle is in float32
    assert "in fp16 and int8 only" in capsys.readouterr().err
    assert built("--dla", "-1") == (2, None)
    assert "numbered from 0" in capsys.readouterr().err
    monkeypatch.setattr(device_build, "_problem", lambda: None)
    half = Path(shutil.copytree(bundle, tmp_path / "half"))
    monkeypatch.setattr(device_build, "HERE", half)
    (half / "model.onnx").write_bytes(half_graph(source))
    code, options = built("--dla", "1")
    assert (code, options.dla) == (0, 1)
