"""The house rules that a machine can hold: which room may import which, and what an import costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import crossiqa_edge

ROOT = Path(__file__).parents[1]
SIBLINGS = ("kernels", "export", "bench")

# What each room may import besides itself. Rooms further down this list stand on those further up.
CORE = {"errors", "version", "atomic", "score", "card", "machine"}
MAY_IMPORT = {
    "imaging": set(),
    "model": {"imaging"},
    "data": {"imaging"},
    "kernels": {"imaging", "model"},
    "weights": set(),
    "runtime": {"imaging", "weights", "model", "kernels"},
    "training": {"imaging", "data", "model", "runtime"},
    "export": {"imaging", "data", "model", "runtime", "training", "kernels", "weights"},
    "video": {"imaging", "runtime", "weights"},
    "report": {"imaging", "video"},
    "serve": {"imaging", "runtime", "report"},
    "bench": {
        *("imaging", "report", "data", "model", "kernels", "weights"),
        *("runtime", "training", "export", "video"),
    },
    "cli": {
        *("imaging", "report", "data", "model", "kernels", "weights"),
        *("runtime", "training", "export", "video", "bench", "serve"),
    },
}
# `Scorer` is the one object that users need, so its methods for video reach up, when they are called.
REACHES_UP = {"crossiqa_edge/runtime/scorer.py": {"video"}}
HEAVY = {
    *("torch", "timm", "triton", "torchvision", "scipy", "matplotlib", "cv2"),
    *("onnx", "tensorrt", "tensorrt_rtx", "openvino", "cuda"),
}
LIGHT_ROOMS = ("imaging", "report", "runtime", "serve", "video", "weights")


def modules():
    """(room, path) of every module of the package; a module of no room is core."""
    for path in sorted((ROOT / "crossiqa_edge").rglob("*.py")):
        parts = path.relative_to(ROOT / "crossiqa_edge").parts
        yield (parts[0] if len(parts) > 1 else "core"), path
    for room in SIBLINGS:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield room, path


def imported(path):
    """Dotted names of all that a module imports anywhere in it, functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            yield node.module


def imported_at_import(path):
    """Top-level packages that importing the module itself brings in."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


@pytest.mark.parametrize("room", ["core", *MAY_IMPORT])
def test_imports_run_one_way(room):
    allowed = CORE | {room} | MAY_IMPORT.get(room, set())
    if room == "core":  # the package's own front door names the homes of its lazily imported names
        allowed |= {"runtime", "video"}
    for own, path in modules():
        if own != room:
            continue
        for name in imported(path):
            if name.startswith("crossiqa_edge."):
                target = name.split(".")[1]
                where = str(path.relative_to(ROOT))
                assert target in allowed | REACHES_UP.get(where, set()), (
                    f"{where} ({room}) must not import {name}"
                )


def test_every_room_is_known():
    assert {room for room, _ in modules()} == {"core", *MAY_IMPORT}


def test_light_rooms_import_nothing_heavy():
    for room, path in modules():
        if room in LIGHT_ROOMS or room == "core":
            heavy = HEAVY & set(imported_at_import(path))
            assert not heavy, f"{path.relative_to(ROOT)} imports {heavy} at import time"


def test_the_model_knows_nothing_of_kernels():
    for room, path in modules():
        if room in ("model", "training", "data"):
            assert not any(name.startswith("crossiqa_edge.kernels") for name in imported(path)), path


def test_importing_the_package_is_lean():
    """Under 0.2 s of its own, measured as CPU time above an empty interpreter, and nothing heavy."""
    code = (
        "import time, sys; before = set(sys.modules); start = time.process_time(); import crossiqa_edge; "
        "print(time.process_time() - start, *(set(sys.modules) - before))"
    )
    seconds, *names = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert float(seconds) < 0.2
    assert not (HEAVY | {"numpy", "PIL", "onnxruntime"}) & {name.split(".")[0] for name in names}


def test_siblings_live_under_the_package():
    for name in SIBLINGS:
        module = __import__(f"crossiqa_edge.{name}", fromlist=["_"])
        assert Path(module.__file__).resolve().parent == ROOT / name


def test_public_names_exist():
    for name in crossiqa_edge.__all__:
        assert getattr(crossiqa_edge, name) is not None
    with pytest.raises(AttributeError):
        crossiqa_edge.no_such_name  # noqa: B018


def test_no_file_outgrows_its_subject():
    longest = {path: len(path.read_text().splitlines()) for _, path in modules()}
    assert {str(path.relative_to(ROOT)): n for path, n in longest.items() if n > 320} == {}
