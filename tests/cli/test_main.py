"""The program around the verbs: usage, exit codes, and what happens when the output goes nowhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from PIL import Image

from crossiqa_edge.cli.main import EXTRAS, VERBS, main
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


_WITHOUT = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
from crossiqa_edge.cli.main import main
main(sys.argv[2:])
"""


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["evaluate", "nano", "--data", "a=b"], "train"),
        (["export", "nano"], "export"),
        (["bench"], "bench"),
        (["tune", "--max-latency-ms", "5"], "bench"),
    ],
)
def test_without_scipy_the_extra_is_named(words: list[str], extra: str) -> None:
    command = [sys.executable, "-c", _WITHOUT, "scipy", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    told = f"crossiqa: {words[0]} needs more packages: pip install 'crossiqa-edge[{extra}]'"
    assert done.stderr.splitlines() == [told]


def lacking(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Make the verb ``models`` one that lacks ``module``."""

    def run() -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    verb = SimpleNamespace(command=click.Command("models", callback=run))
    monkeypatch.setitem(sys.modules, "crossiqa_edge.cli.models", verb)


@pytest.mark.parametrize(
    ("module", "extra"),
    [("torch.nn", "train"), ("onnx", "export"), ("cuda.bindings", "cuda"), ("ray", "scale")],
)
def test_a_module_that_is_missed_while_a_verb_runs_is_a_line(
    crossiqa: Crossiqa, monkeypatch: pytest.MonkeyPatch, module: str, extra: str
) -> None:
    lacking(monkeypatch, module)
    done = crossiqa("models")
    assert (done.code, len(done.complaints)) == (2, 1)
    assert f"crossiqa-edge[{extra}]" in done.err


def test_a_module_that_no_extra_brings_is_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking(monkeypatch, "rich")
    with pytest.raises(ModuleNotFoundError, match="rich"):
        main(["models"])


def test_every_package_of_an_extra_is_known() -> None:
    modules = {"cuda-bindings": "cuda"}  # the others are imported by their own names
    for requirement in metadata.requires("crossiqa-edge") or []:
        extra = re.search(r"extra == ['\"]([\w-]+)", requirement)
        package = re.match(r"[\w.-]+", requirement)
        if extra and package and extra[1] != "dev":
            assert modules.get(package[0], package[0].replace("-", "_")) in EXTRAS[extra[1]].split()


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


@pytest.fixture
def left() -> Iterator[int]:
    """The end to write to of a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize("words", [["--help"], ["models"], ["degrade", "--list"], ["score", "--help"]])
def test_a_reader_that_leaves_a_table_or_the_help_is_no_error(
    process: Callable[..., subprocess.Popen[str]], left: int, words: list[str]
) -> None:
    running = process(*words, stdout=left)
    _, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (0, "")


def test_messages_that_nobody_reads_cost_no_result(
    process: Callable[..., subprocess.Popen[str]], picture: Path, tiny_onnx: Path, left: int, tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    words = ("nosuch.png", picture, "--json", "--model", tiny_onnx, "--report", report)
    running = process("score", *words, stderr=left)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    assert [Path(result["path"]).name for result in json.loads(output)] == ["nosuch.png", "picture.png"]
    assert report.exists()


def test_a_limit_holds_though_nobody_reads_messages(
    process: Callable[..., subprocess.Popen[str]], picture: Path, tiny_onnx: Path, left: int
) -> None:
    running = process("score", picture, "--model", tiny_onnx, "--fail-under", "100", stderr=left)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "picture.png" in output


def test_wrong_usage_that_nobody_reads_of_keeps_its_exit_code(
    process: Callable[..., subprocess.Popen[str]], left: int
) -> None:
    running = process("scroe", stderr=left)
    assert (running.communicate(timeout=60)[0], running.returncode) == ("", 2)


@pytest.fixture
def closed(process: Callable[..., subprocess.Popen[str]]) -> Callable[..., tuple[int, str, str]]:
    """``closed((0, 2), "score", path)``: run with these descriptors closed."""

    def run(descriptors: tuple[int, ...], *words: object) -> tuple[int, str, str]:
        running = process(*words, preexec_fn=lambda: [os.close(number) for number in descriptors])
        output, errors = running.communicate(timeout=60)
        return running.returncode, output, errors

    return run


@pytest.mark.parametrize("descriptors", [(0,), (1,), (2,), (0, 1), (0, 2), (0, 1, 2)])
def test_closed_streams_hinder_no_scoring(
    closed: Callable[..., tuple[int, str, str]], picture: Path, tiny_onnx: Path, descriptors: tuple[int, ...]
) -> None:
    report = picture.with_name("report.html")
    words = ("score", picture, "nosuch.png", "--json", "--model", tiny_onnx, "--report", report)
    code, output, errors = closed(descriptors, *words)
    assert code == 1
    assert report.exists()
    if 1 not in descriptors:
        assert len(json.loads(output)) == 2, "nothing but results is on standard output"
    if 2 not in descriptors:
        assert all(line.startswith("crossiqa: ") for line in errors.splitlines())


@pytest.mark.parametrize(("verb", "source"), [("score", "-"), ("score", "@-"), ("watch", "-")])
def test_a_closed_standard_input_that_is_wanted_is_a_line(
    closed: Callable[..., tuple[int, str, str]], tiny_onnx: Path, verb: str, source: str
) -> None:
    code, output, errors = closed((0,), verb, source, "--model", tiny_onnx)
    assert (code, output, len(errors.splitlines())) == (2, "", 1)
    assert "standard input is closed" in errors
