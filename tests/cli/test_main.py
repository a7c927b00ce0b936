"""The program around the verbs: usage, exit codes, and what happens when the output goes nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from crossiqa_edge.cli.main import VERBS
from crossiqa_edge.version import __version__

Crossiqa = Callable[..., Any]


def test_help_names_every_verb_and_the_exit_codes(crossiqa: Crossiqa) -> None:
    done = crossiqa("--help")
    assert done.code == 0
    for verb in VERBS:
        assert f"  {verb} " in done.out
    assert "Exit codes" in done.out


def test_version(crossiqa: Crossiqa) -> None:
    assert __version__ in crossiqa("--version").out


@pytest.mark.parametrize(
    ("typed", "hint"), [("scroe", "Did you mean 'score'?"), ("zzz", "See: crossiqa --help")]
)
def test_a_wrong_verb_gets_a_hint(crossiqa: Crossiqa, typed: str, hint: str) -> None:
    done = crossiqa(typed)
    assert (done.code, done.out) == (2, "")
    assert hint in done.err


def test_a_wrong_option_is_wrong_usage(crossiqa: Crossiqa) -> None:
    done = crossiqa("score", "--btach", "3", "x.png")
    assert done.code == 2
    assert "--batch" in done.err


def test_a_verb_that_a_bundle_leaves_out_is_a_line(
    crossiqa: Crossiqa, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "crossiqa_edge.cli.serve", None)
    done = crossiqa("serve")
    assert (done.code, done.out, len(done.complaints)) == (2, "", 1)
    assert "crossiqa_edge.cli.serve is not in this copy" in done.err
    assert done.err.rstrip().endswith("pip install crossiqa-edge")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom crossiqa_edge.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print([name for name in ('numpy', 'PIL', 'onnxruntime', 'rich', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.new("RGB", (64, 64), "grey").save(path)
    return path


def test_a_reader_that_leaves_is_no_error(
    process: Callable[..., subprocess.Popen[str]], picture: Path, tiny_onnx: Path
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    running = process("score", "--model", tiny_onnx, "--backend", "onnxruntime", picture, stdout=writer)
    os.close(writer)
    _, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
def test_a_full_disk_behind_stdout_is_one_line(
    process: Callable[..., subprocess.Popen[str]], picture: Path, tiny_onnx: Path
) -> None:
    with Path("/dev/full").open("w") as full:
        running = process("score", "--json", "--model", tiny_onnx, picture, stdout=full)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 2
    assert errors.splitlines() == ["crossiqa: the output was not written: No space left on device"]
