"""Build the TensorRT engine of the model in this bundle, on the device that will run it.

    python3 build_engine.py [--opt-batch 1] [--max-batch 8] [--workspace MiB] [--dla N]

First every file is compared with its hash, before any other file of the bundle is run. The engine goes into
this user's cache, where `selftest.py --backend tensorrt` and the command line of the bundled package find it.
Another TensorRT, GPU or board needs another engine: run this again there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Build, and say where the engine is; 2 if it cannot be built."""
    parser = argparse.ArgumentParser(description="Build the TensorRT engine of the bundled model.")
    parser.add_argument("--opt-batch", type=int, default=1, help="the batch to be fastest at")
    parser.add_argument("--max-batch", type=int, default=8, help="the largest batch")
    parser.add_argument("--workspace", type=int, help="most memory of the builder in MiB")
    parser.add_argument("--dla", type=int, help="number of the accelerator to use instead of the GPU")
    given = parser.parse_args()
    problem = _problem()
    if problem is not None:
        print(f"build_engine: {problem}; get the bundle again", file=sys.stderr)
        return 2
    sys.path.insert(0, str(HERE / "python"))  # the package that came along
    try:
        return _build(given)
    except ImportError as error:
        print(f"build_engine: {error}; first: pip install -r requirements.txt", file=sys.stderr)
        return 2


def _build(given: argparse.Namespace) -> int:
    from crossiqa_edge.errors import CrossIQAError

    try:
        from crossiqa_edge.export.targets import Options, check, target
        from crossiqa_edge.export.tensorrt import build
        from crossiqa_edge.runtime.artefact import Artefact
        from crossiqa_edge.runtime.engine_cache import cache_folder

        options = Options(
            opt_batch=given.opt_batch, max_batch=given.max_batch, workspace=given.workspace, dla=given.dla
        )
        model = Artefact.open(HERE / "model.onnx")
        check(target("tensorrt"), model.card.precision, options)
        with tempfile.TemporaryDirectory() as folder:  # the one in the cache is the one that is used
            build(model, Path(folder) / "model.engine", options, _say)
    except CrossIQAError as error:
        print(f"build_engine: {error}", file=sys.stderr)
        return 2
    print(f"built, in {cache_folder()}; next: python3 selftest.py --backend tensorrt")
    return 0


def _say(stage: str, share: float | None = None) -> None:
    """One line that is written over on a terminal, and nothing elsewhere."""
    if sys.stderr.isatty():
        done = "" if share is None else f" {share:4.0%}"
        print(f"\r{stage}{done}\033[K", end="" if share != 1 else os.linesep, file=sys.stderr, flush=True)


# The two that follow are in `selftest.py` too: a module for both would be run before it was checked.
def _problem() -> str | None:
    """What speaks against this bundle, found without running any of it; None where nothing does."""
    manifest = HERE / "bundle.json"
    if manifest.is_symlink():
        return "bundle.json is a link, which no bundle has"
    try:
        files = json.loads(manifest.read_bytes())["files"]
        wrong = ", ".join(name for name, sha256 in files.items() if not _is_sound(HERE / name, sha256))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "bundle.json is missing or damaged"
    if wrong or not files:
        return f"changed since the bundle was made, missing, or a link: {wrong or 'all files'}"
    return None


def _is_sound(path: Path, sha256: str) -> bool:
    """Whether it has that hash, and no link on the way leads elsewhere."""
    try:
        regular = path.resolve() == path and path.is_file()
        return regular and hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except (OSError, RuntimeError):  # the latter: links in a circle
        return False


if __name__ == "__main__":
    sys.exit(main())
