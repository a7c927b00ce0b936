"""Build the TensorRT engine of the model in this bundle, on the device that will run it.

    python3 build_engine.py [--opt-batch 1] [--max-batch 8] [--workspace MiB] [--dla N]

The engine goes into this user's cache, where `selftest.py --backend tensorrt` and the command line of the
bundled package find it. Another TensorRT, GPU or board needs another engine: run this again there.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Build, and say where the engine is; 2 if it cannot be built."""
    from crossiqa_edge.errors import CrossIQAError
    from crossiqa_edge.export.targets import Options
    from crossiqa_edge.export.tensorrt import build
    from crossiqa_edge.runtime.artefact import Artefact
    from crossiqa_edge.runtime.engine_cache import cache_folder

    parser = argparse.ArgumentParser(description="Build the TensorRT engine of the bundled model.")
    parser.add_argument("--opt-batch", type=int, default=1, help="the batch to be fastest at")
    parser.add_argument("--max-batch", type=int, default=8, help="the largest batch")
    parser.add_argument("--workspace", type=int, help="most memory of the builder in MiB")
    parser.add_argument("--dla", type=int, help="number of the accelerator to use instead of the GPU")
    given = parser.parse_args()
    model = HERE / "model.onnx"
    if model.is_symlink():
        print(
            "build_engine: model.onnx is a link, which no bundle has; get the bundle again", file=sys.stderr
        )
        return 2
    try:
        options = Options(
            opt_batch=given.opt_batch, max_batch=given.max_batch, workspace=given.workspace, dla=given.dla
        )
        with tempfile.TemporaryDirectory() as folder:  # the one in the cache is the one that is used
            build(Artefact.open(model), Path(folder) / "model.engine", options, _say)
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


if __name__ == "__main__":
    sys.path.insert(0, str(HERE / "python"))  # the package that came along
    sys.exit(main())
