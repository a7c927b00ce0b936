"""Build the TensorRT engine of the model in this bundle, on the device that will run it.

    python3 build_engine.py [--opt-batch 1] [--max-batch 8] [--workspace MiB] [--dla N]

First every file is compared with its hash, before any other file of the bundle is run. Then the engine is
built and scores the bundle's pictures. If it gives the stored scores, it goes into this user's cache, where
`selftest.py --backend tensorrt` and the command line of the bundled package find it; if not, it is not kept.
Another TensorRT, GPU or board needs another engine: run this again there. Exit codes: 0 built; 1 built, and
refused because a score differs by more than the precision explains; 2 not built, or it could not be run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Build, compare, and say where the engine is; whatever prevents that is one line."""
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
        return _build(given, json.loads((HERE / "bundle.json").read_bytes()))
    except ImportError as error:
        print(f"build_engine: {error}; first: pip install -r requirements.txt", file=sys.stderr)
        return 2


def _build(given: argparse.Namespace, bundle: dict[str, Any]) -> int:
    from crossiqa_edge.errors import ConfigError, CrossIQAError

    try:
        if not bundle.get("scores") or "tolerance" not in bundle:  # before minutes of work
            raise ConfigError("bundle.json has no scores to compare with; get the bundle again")
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
            if not _judged(build(model, Path(folder) / "model.engine", options, _say, awaiting=True), bundle):
                print("build_engine: the engine does not give the stored scores; not kept", file=sys.stderr)
                return 1
    except CrossIQAError as error:
        print(f"build_engine: {error}", file=sys.stderr)
        return 2
    print(f"built, in {cache_folder()}; next: python3 selftest.py --backend tensorrt")
    return 0


def _judged(built: Path, bundle: dict[str, Any]) -> bool:
    """Whether the engine file gives the stored scores; until then no backend finds it in the cache.

    Its card keeps no verdict: that is one of hundreds of views, which `crossiqa verify` compares.
    """
    from crossiqa_edge.errors import ArtefactError
    from crossiqa_edge.export.device_scores import agrees
    from crossiqa_edge.export.tensorrt import discard, record
    from crossiqa_edge.runtime.scorer import Scorer

    try:
        with Scorer.load(built, backend="tensorrt") as scorer:
            sound = agrees(scorer, HERE, bundle)
        if sound:
            record(built, {})
        else:
            discard(built, refused=True)
    except BaseException as error:  # an interrupt included
        discard(built, refused=isinstance(error, ArtefactError))
        raise
    return sound


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
