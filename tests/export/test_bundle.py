"""A bundle works by itself: its self-test runs in a process that has nothing but third-party packages."""

import hashlib
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from bundle_run import python
from precisions import half_graph, int8_graph

import crossiqa_edge
from crossiqa_edge import weights
from crossiqa_edge.errors import ArtefactError, ConfigError, OutputError
from crossiqa_edge.export.attention_nodes import with_nodes
from crossiqa_edge.export.bundle import make_bundle
from crossiqa_edge.export.bundle_package import copy_package
from crossiqa_edge.export.bundle_readme import trtexec
from crossiqa_edge.export.bundle_targets import DEVICES, device_kind
from crossiqa_edge.export.onnx import export_onnx
from crossiqa_edge.export.trt_graph import for_tensorrt
from crossiqa_edge.kernels.pack import Pack
from crossiqa_edge.model.checkpoint import load
from crossiqa_edge.runtime.artefact import Artefact

ORIN = DEVICES["jetson-orin"]


@pytest.fixture(scope="module")
def int8(source, tmp_path_factory):
    path = tmp_path_factory.mktemp("int8") / "m.onnx"
    path.write_bytes(int8_graph(source))
    return Artefact.open(path)


@pytest.fixture(scope="module")
def int8_bundle(int8, source, tmp_path_factory):
    return make_bundle(int8, ORIN, tmp_path_factory.mktemp("bundles") / "int8", original=source)


@pytest.fixture(scope="module")
def half_bundle(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("half")
    (folder / "m.onnx").write_bytes(half_graph(source))
    return make_bundle(Artefact.open(folder / "m.onnx"), ORIN, folder / "bundle", original=source)


def test_the_stored_scores_are_not_all_alike(bundle):
    """Else any model that gives one number would pass the self-test."""
    scores = [item["score"] for item in json.loads((bundle / "bundle.json").read_text())["scores"]]
    assert max(scores) - min(scores) > json.loads((bundle / "bundle.json").read_text())["tolerance"]


def test_the_command_line_comes_along(bundle):
    code = "from crossiqa_edge.cli.main import main; main()"
    done = python(
        bundle, code, "score", "pictures/jpeg.png", "--model", "model.onnx", "--json", path=["python"]
    )
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    scores = json.loads((bundle / "bundle.json").read_text())["scores"]
    stored = {item["picture"]: item["score"] for item in scores}
    assert result["score"] == pytest.approx(stored["pictures/jpeg.png"], abs=0.01)


_VERIFY = """
import sys

class NotRequired:
    def find_spec(self, name, *where):
        if name in ("torch", "timm", "triton", "safetensors", "matplotlib"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NotRequired())
from crossiqa_edge.cli.main import main
main()
"""


@pytest.mark.parametrize(("made", "reference"), [("bundle", "model.onnx"), ("half_bundle", "original.onnx")])
def test_the_acceptance_is_repeated_from_the_bundle_alone(request, made, reference):
    folder = request.getfixturevalue(made)
    text = (folder / "README.md").read_text()
    assert f"verify model.onnx --reference {reference} --backend tensorrt" in text
    arguments = ("verify", "model.onnx", "--reference", reference, "--backend", "onnxruntime", "--json")
    done = python(folder, _VERIFY, *arguments, path=["python"])
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["passed"] and facts["views"] == 243
    assert (facts["max_difference"] > 0) == (made == "half_bundle")


def test_an_original_of_other_weights_or_none_is_refused(int8, tmp_path, tiny_onnx):
    for wrong in (Artefact.open(tiny_onnx), int8):
        with pytest.raises(ConfigError, match="is not the float32 ONNX file of micro-test@"):
            make_bundle(int8, ORIN, tmp_path / "bundle", original=wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_without_the_original_says_that_it_cannot_verify(int8, tmp_path):
    made = make_bundle(int8, ORIN, tmp_path / "bundle")
    assert not (made / "original.onnx").exists()
    text = (made / "README.md").read_text()
    assert "verify model.onnx" not in text
    assert "did not come along" in text


def test_the_original_of_a_shipped_model_comes_along(tmp_path):
    made = make_bundle(Artefact.open(weights.find("nano-int8")), ORIN, tmp_path / "bundle")
    assert (made / "original.onnx").read_bytes() == weights.find("nano").read_bytes()


def test_trtexec_is_given_what_the_build_script_gives_the_builder(bundle, int8_bundle):
    graph = (int8_bundle / "model.onnx").read_bytes()
    rewritten = (int8_bundle / "trtexec.onnx").read_bytes()
    assert rewritten == for_tensorrt(graph) != graph
    text = (int8_bundle / "README.md").read_text()
    assert trtexec(224, "trtexec.onnx").split(" --min")[0] in text
    assert "all that is not int8 in float16" in text
    # a float graph is given as it is, and a second file of it would be too much
    assert for_tensorrt((bundle / "model.onnx").read_bytes()) == (bundle / "model.onnx").read_bytes()
    assert not (bundle / "trtexec.onnx").exists()


def test_graphs_that_the_device_could_not_build_are_refused(micro_export, source, tmp_path):
    fused, _ = export_onnx(*load(micro_export.weights), tmp_path / "fused.onnx", opset=23)
    with pytest.raises(ConfigError, match=r"opset 23, .*TensorRT \(10.3.*--opset 18"):
        make_bundle(fused, ORIN, tmp_path / "bundle")
    (tmp_path / "plugin.onnx").write_bytes(
        with_nodes(onnx.load_from_string(source.read())).SerializeToString()
    )
    with pytest.raises(ConfigError, match="export it without --plugin"):
        make_bundle(Artefact.open(tmp_path / "plugin.onnx"), ORIN, tmp_path / "bundle")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fused.onnx", "plugin.onnx"]


def test_a_model_that_is_a_link_is_packed_as_what_it_leads_to(source, bundle, tmp_path):
    (tmp_path / "link.onnx").symlink_to(source.path)
    made = make_bundle(Artefact.open(tmp_path / "link.onnx"), ORIN, tmp_path / "bundle")
    assert (made / "model.onnx").read_bytes() == source.read()
    assert not [path for path in made.rglob("*") if path.is_symlink()]


def test_every_file_is_in_the_manifest_with_its_hash(bundle):
    manifest = json.loads((bundle / "bundle.json").read_text())
    there = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert there == {*manifest["files"], "bundle.json"}
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("kind", DEVICES.values(), ids=list(DEVICES))
def test_requirements_are_pinned_and_light(kind):
    names = [line.partition("==") for line in kind.requirements]
    assert all(version for _, _, version in names)
    needed = {"numpy", "pillow", "onnxruntime", "onnx", "scipy", "cuda-bindings"}
    assert {name for name, _, _ in names} >= needed
    assert not {"torch", "timm", "safetensors", "triton"} & {name for name, _, _ in names}


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_archives_hold_the_folder_and_are_the_same_each_time(source, bundle, tmp_path, suffix):
    first, second = (make_bundle(source, ORIN, tmp_path / f"{name}{suffix}") for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    if suffix == ".zip":
        with zipfile.ZipFile(first) as archive:
            names = archive.namelist()
    else:
        with tarfile.open(first) as archive:
            names = archive.getnames()
    root = "micro-test-fp32-jetson-orin"
    files = (path.relative_to(bundle) for path in bundle.rglob("*") if path.is_file())
    assert set(names) == {f"{root}/{path.as_posix()}" for path in files}


def test_what_exists_is_left_alone(source, tmp_path):
    for name in ("folder", "archive.zip"):
        path = tmp_path / name
        path.mkdir()
        with pytest.raises(OutputError, match="exists already"):
            make_bundle(source, ORIN, path)
        assert list(path.iterdir()) == []


@pytest.mark.parametrize("name", ["nano.rar", "nano.tar.bz2", "nano.tgz", "nano.gz"])
def test_archives_of_other_kinds_are_refused(source, tmp_path, name):
    """They were folders with an archive's name."""
    with pytest.raises(OutputError, match=r"\.tar\.gz or \.zip"):
        make_bundle(source, ORIN, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_an_error_names_the_bundle_and_no_file_of_its_making(source, tmp_path, monkeypatch, name):
    """The file that fails is one that the user has never seen, and that is gone by then."""
    graph = onnx.load(source.path)
    bias = next(item for item in graph.graph.initializer if item.name == "head.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(1, np.nan, np.float32), bias.name))
    (tmp_path / "nan.onnx").write_bytes(graph.SerializeToString())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtefactError, match=rf"^{name}: gave a score outside 0\.\.100"):
        make_bundle(Artefact.open("nan.onnx"), ORIN, Path(name))
    assert [path.name for path in tmp_path.iterdir()] == ["nan.onnx"]


def test_bare_weights_are_refused(micro_export, tmp_path):
    with pytest.raises(ConfigError, match="crossiqa export"):
        make_bundle(Artefact.open(micro_export.weights), ORIN, tmp_path / "bundle")


def test_kernels_that_are_none_are_refused_and_nothing_is_left(source, tmp_path):
    pack = tmp_path / "kernels.pack"
    pack.write_bytes(b"no pack")
    with pytest.raises(ArtefactError):
        make_bundle(source, ORIN, tmp_path / "bundle", kernels=pack)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kernels.pack"]


def test_kernels_of_the_same_model_alone_come_along(source, tmp_path):
    packs = {name: tmp_path / f"{name}.pack" for name in (source.card.identity, "nano@0123")}
    for name, path in packs.items():
        Pack(name, "3.8.0", (), (), b"").save(path)
    with pytest.raises(ConfigError, match=r"kernels of nano@0123, not of micro-test@"):
        make_bundle(source, ORIN, tmp_path / "bundle", kernels=packs["nano@0123"])
    assert not (tmp_path / "bundle").exists()
    own = packs[source.card.identity]
    made = make_bundle(source, ORIN, tmp_path / "bundle", kernels=own)
    assert (made / "kernels.pack").read_bytes() == own.read_bytes()


def test_links_in_the_package_are_packed_as_what_they_lead_to(tmp_path, monkeypatch):
    """An installation may be a farm of links; a bundle has none, and its scripts refuse them."""
    home, rooms = tmp_path / "crossiqa_edge", tmp_path / "rooms"
    shutil.copytree(Path(crossiqa_edge.__file__).parent, rooms, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(rooms, home, copy_function=lambda file, link: Path(link).symlink_to(file))
    monkeypatch.setattr(crossiqa_edge, "__file__", str(home / "__init__.py"))
    copy_package(tmp_path / "copy")
    copies = [path for path in (tmp_path / "copy").rglob("*.py") if "export" not in path.parts]
    assert len(copies) > 50
    assert not [path for path in copies if path.is_symlink()]


def test_an_unknown_target_gets_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'jetson-orin'"):
        device_kind("jetson_orin")


def test_the_readme_has_the_exact_command_for_trtexec(bundle):
    text = (bundle / "README.md").read_text()
    assert trtexec(Artefact.open(bundle / "model.onnx").card.view_size) in text
    assert "--stronglyTyped" in text
    assert "--fp16" not in text  # precision is in the graph
    assert "without\n`--skipInference` its speed" in text  # with it nothing is run, and nothing profiled
    assert "--dumpProfile" not in text
