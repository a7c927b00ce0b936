"""``crossiqa doctor``: tells what is there, what is missing, and whether scoring works."""

from __future__ import annotations

import builtins
import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crossiqa_edge.cli.doctor import OPTIONAL, _missing_extras

Crossiqa = Callable[..., Any]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """``without("torch")``: as if that package were not installed."""
    real = metadata.version

    def hide(package: str) -> None:
        def version(name: str) -> str:
            if name == package:
                raise metadata.PackageNotFoundError(name)
            return real(name)

        monkeypatch.setattr(metadata, "version", version)

    return hide


def test_a_sound_installation(crossiqa: Crossiqa, tiny_onnx: Path) -> None:
    done = crossiqa("doctor", "--json", "--model", tiny_onnx)
    findings = json.loads(done.out)
    assert (done.code, findings["ok"]) == (0, True)
    assert findings["core"]["numpy"] == metadata.version("numpy")
    assert "CPUExecutionProvider" in findings["providers"]
    assert findings["machine"]["cores"] >= 1
    check = findings["self_check"]
    assert check["ok"] and check["model"].startswith("tiny-test@") and check["score_ms"] > 0
    assert 0 < check["score"] < 100


def test_the_text_says_the_same_for_people(crossiqa: Crossiqa, tiny_onnx: Path) -> None:
    done = crossiqa("doctor", "--model", tiny_onnx)
    assert done.code == 0
    assert done.out.rstrip().endswith("The core works.")
    for part in ("Installation", "CPU ", "tiny-test@"):
        assert part in done.out
    assert re.search(
        rf"^  onnxruntime +{re.escape(metadata.version('onnxruntime'))}$", done.out, re.MULTILINE
    )


def test_in_a_bundle_its_own_model_is_checked(
    crossiqa: Crossiqa, tiny_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.onnx").write_bytes(tiny_onnx.read_bytes())
    monkeypatch.setattr("crossiqa_edge.__file__", str(tmp_path / "runtime" / "crossiqa_edge" / "__init__.py"))
    monkeypatch.setattr("crossiqa_edge.weights._FOLDER", tmp_path / "none are shipped")
    findings = json.loads(crossiqa("doctor", "--json").out)
    assert findings["ok"] and findings["self_check"]["model"].startswith("tiny-test@")
    assert findings["models"] == []


def test_a_missing_model_is_found(crossiqa: Crossiqa) -> None:
    done = crossiqa("doctor", "--model", "nowhere.onnx")
    assert done.code == 2
    assert "nowhere.onnx: no such file" in done.out and "does not work" in done.out


def test_a_broken_runtime_is_a_finding_not_a_traceback(
    crossiqa: Crossiqa, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # what an unloadable library looks like
    monkeypatch.setitem(sys.modules, "openvino", None)  # which could take its place
    done = crossiqa("doctor", "--json", "--model", tiny_onnx)
    findings = json.loads(done.out)
    assert (done.code, findings["ok"], findings["providers"]) == (2, False, [])
    assert "onnxruntime" in findings["self_check"]["error"]


@pytest.mark.parametrize("package", [name for name in OPTIONAL if name != "tensorrt_rtx"])
def test_every_optional_package_comes_with_its_command(without: Callable[[str], None], package: str) -> None:
    without(package)
    assert any(package in names for names in _missing_extras().values())


@pytest.mark.parametrize(("machine", "missing"), [("x86_64", True), ("aarch64", False)])
def test_packages_for_other_systems_are_not_missed(
    without: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, machine: str, missing: bool
) -> None:
    without("tensorrt_rtx")
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert ("tensorrt_rtx" in _missing_extras().get("tensorrt-rtx", [])) is missing


def test_packages_for_older_pythons_are_not_missed(
    without: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    without("tomli")
    for minor, missing in ((9, True), (10, True), (11, False), (14, False)):
        here = SimpleNamespace(platform="linux", version_info=SimpleNamespace(major=3, minor=minor))
        monkeypatch.setattr("crossiqa_edge.cli.doctor.sys", here)
        assert ("tomli" in _missing_extras().get("train", [])) is missing


def test_a_missing_extra_comes_with_its_command(
    crossiqa: Crossiqa, tiny_onnx: Path, without: Callable[[str], None]
) -> None:
    without("timm")
    done = crossiqa("doctor", "--model", tiny_onnx)
    assert done.code == 0, "an extra is not the core"
    (line,) = (line for line in done.out.splitlines() if "pip install 'crossiqa-edge[train]'" in line)
    assert "timm" in line


def test_a_missing_core_package_comes_with_its_command(
    crossiqa: Crossiqa, tiny_onnx: Path, without: Callable[[str], None]
) -> None:
    without("av")
    done = crossiqa("doctor", "--model", tiny_onnx)
    assert done.code == 2
    assert "MISSING: pip install av" in done.out


def test_another_build_of_onnxruntime_counts(
    crossiqa: Crossiqa, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "onnxruntime":
            raise metadata.PackageNotFoundError(name)
        return "1.99" if name == "onnxruntime-gpu" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    findings = json.loads(crossiqa("doctor", "--json", "--model", tiny_onnx).out)
    assert (findings["ok"], findings["core"]["onnxruntime"]) == (True, "1.99")


def test_nothing_heavy_is_imported(tiny_onnx: Path) -> None:
    code = (
        "import sys\nfrom crossiqa_edge.cli.doctor import examine\n"
        f"examine({str(tiny_onnx)!r})\n"
        "print([name for name in ('torch', 'triton', 'timm', 'tensorrt') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_backends_say_what_hinders_them(crossiqa: Crossiqa, tiny_onnx: Path) -> None:
    backends = json.loads(crossiqa("doctor", "--json", "--model", tiny_onnx).out)["backends"]
    assert backends["onnxruntime"]["obstacle"] is None and not backends["onnxruntime"]["by_name_only"]
    assert backends["onnxruntime-tensorrt"]["by_name_only"]
    text = crossiqa("doctor", "--model", tiny_onnx).out
    assert "Backends for tiny-test@" in text
    (line,) = (line for line in text.splitlines() if line.startswith("  onnxruntime-cuda "))
    assert "GPU" in line or "works" in line


def test_what_it_measures_is_what_auto_goes_by(crossiqa: Crossiqa, tiny_onnx: Path) -> None:
    pytest.importorskip("openvino", reason="one backend alone needs no choice")
    measured = json.loads(crossiqa("doctor", "--measure", "--json", "--model", tiny_onnx).out)
    for name in ("onnxruntime", "openvino"):
        assert measured["backends"][name]["view_ms"] > 0
        assert measured["backends"][name]["opening_ms"] > 0
    after = json.loads(crossiqa("doctor", "--json", "--model", tiny_onnx).out)
    assert after["backends"] == measured["backends"], "nothing is measured again unasked"
    assert "first to be done with 1 view," in after["self_check"]["reason"]


def test_a_backend_that_fails_when_it_is_measured_is_a_finding(
    crossiqa: Crossiqa, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    real = builtins.__import__

    def broken(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "openvino":
            raise ImportError("libtbb.so.12: no such file")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", broken)
    done = crossiqa("doctor", "--measure", "--model", tiny_onnx)
    assert done.code == 0
    assert re.search(
        r"^  openvino +it failed when it was measured; try: crossiqa score", done.out, re.MULTILINE
    )
