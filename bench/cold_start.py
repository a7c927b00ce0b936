"""What a user waits for one score from a cold start: `python -m crossiqa_edge.bench.cold_start PHOTO`.

Each run is a fresh process: interpreter, imports, model, one picture, one score. The files are in the
page cache after the first run, which is therefore left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from statistics import median
from time import perf_counter


def cold_starts(arguments: Sequence[str], runs: int) -> list[float]:
    """Wall seconds of ``crossiqa score`` with ``arguments``, one fresh process a run, the first left out.

    Raises:
        subprocess.CalledProcessError: the command failed; a failure must not count as a fast run.
    """
    command = [sys.executable, "-m", "crossiqa_edge.cli.main", "score", *arguments]
    seconds = []
    for _ in range(runs + 1):
        start = perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(perf_counter() - start)
    return seconds[1:]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0] if __doc__ else None,
        usage="%(prog)s [-h] [--runs RUNS] PHOTO [options of `crossiqa score`]",
        allow_abbrev=False,
    )
    parser.add_argument("--runs", type=int, default=20, help="how many count, 20 by default")
    options, scoring = parser.parse_known_args(arguments)
    if options.runs < 1 or not scoring:
        parser.error("a photograph and at least one run are needed")
    try:
        seconds = sorted(cold_starts(scoring, options.runs))
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip()
        print(reason or f"crossiqa score ended with {error.returncode}", file=sys.stderr)
        return 2
    figures = {"runs": len(seconds), "median_s": median(seconds), "max_s": seconds[-1], "min_s": seconds[0]}
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
