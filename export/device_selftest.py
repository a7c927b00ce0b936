"""Does this device give the scores that were stored when this bundle was made?

    python3 selftest.py [--backend auto|onnxruntime|tensorrt]

First every file is compared with its hash, before any other file of the bundle is run; then every picture is
scored and its score compared. Exit codes: 0 all agree; 1 a score differs by more than the precision explains;
2 nothing could be scored.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Check, score, compare; whatever prevents that is one line, and never the 1 of a score that differs."""
    problem = _problem()
    if problem is not None:
        print(f"selftest: {problem}; get the bundle again", file=sys.stderr)
        return 2
    sys.path.insert(0, str(HERE / "python"))  # the package that came along
    try:
        return _compare_all(json.loads((HERE / "bundle.json").read_bytes()))
    except ImportError as error:
        print(f"selftest: {error}; first: pip install -r requirements.txt", file=sys.stderr)
    except Exception as error:
        ours = type(error).__module__ == "crossiqa_edge.errors"  # a message that needs no name before it
        print(f"selftest: {'' if ours else type(error).__name__ + ': '}{error}", file=sys.stderr)
    return 2


def _compare_all(bundle: dict[str, Any]) -> int:
    """Score the pictures; 1 if a score differs."""
    from crossiqa_edge.export.device_scores import agrees
    from crossiqa_edge.runtime.scorer import Scorer
    from crossiqa_edge.runtime.select import AUTO, BACKENDS

    parser = argparse.ArgumentParser(description="Compare this device's scores with the stored ones.")
    parser.add_argument("--backend", default=AUTO, choices=[AUTO, *BACKENDS], help="what runs the model")
    with Scorer.load(HERE / "model.onnx", backend=parser.parse_args().backend) as scorer:
        print(f"{scorer.card.identity} on {scorer.backend.describe} ({scorer.backend.reason})")
        return 0 if agrees(scorer, HERE, bundle) else 1


# The two that follow are in `build_engine.py` too: a module for both would be run before it was checked.
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
