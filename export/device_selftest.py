"""Does this device give the scores that were stored when this bundle was made?

    python3 selftest.py [--backend auto|onnxruntime|tensorrt]

First every file is compared with its hash, then every picture is scored and its score compared. Exit
codes: 0 all agree; 1 a score differs by more than the precision explains; 2 nothing could be scored.
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
    """Check, score, compare, and print one line a picture."""
    from crossiqa_edge.errors import CrossIQAError
    from crossiqa_edge.runtime.scorer import Scorer
    from crossiqa_edge.runtime.select import AUTO, BACKENDS

    parser = argparse.ArgumentParser(description="Compare this device's scores with the stored ones.")
    parser.add_argument("--backend", default=AUTO, choices=[AUTO, *BACKENDS], help="what runs the model")
    backend = parser.parse_args().backend
    bundle = json.loads((HERE / "bundle.json").read_text())
    damaged = _damaged(bundle["files"])
    if damaged:
        names = ", ".join(damaged)
        print(f"selftest: changed since the bundle was made, missing, or a link: {names}", file=sys.stderr)
        return 2
    try:
        with Scorer.load(HERE / "model.onnx", backend=backend) as scorer:
            print(f"{scorer.card.identity} on {scorer.backend.describe} ({scorer.backend.reason})")
            differences = [_compare(scorer, picture) for picture in bundle["scores"]]
    except CrossIQAError as error:
        print(f"selftest: {error}", file=sys.stderr)
        return 2
    worst, limit = max(differences), bundle["tolerance"]
    verdict = "agrees" if worst <= limit else "DIFFERS"
    print(f"{verdict}: at most {worst:.3f} points of 100, allowed are {limit}")
    return 0 if worst <= limit else 1


def _compare(scorer: Any, picture: dict[str, Any]) -> float:
    """Points between the score of a picture here and the stored one."""
    value = scorer.score(HERE / picture["picture"]).value
    difference = abs(value - picture["score"])
    print(f"{picture['picture']:<28} {value:8.3f}  stored {picture['score']:8.3f}  off by {difference:.3f}")
    return float(difference)


def _damaged(hashes: dict[str, str]) -> list[str]:
    """Names of the files whose SHA-256 is not the stored one, or that a link on the way leads elsewhere."""
    found = []
    for name, expected in hashes.items():
        path = HERE / name
        regular = path.resolve() == path and path.is_file()
        if not regular or hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            found.append(name)
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(HERE / "python"))  # the package that came along
    sys.exit(main())
