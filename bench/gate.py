"""Has a stage become slower? ``python -m crossiqa_edge.bench.gate STORED.json NEW.json``.

Both files are what ``pytest bench --benchmark-json=FILE`` writes. Every median is divided by that of the
calibration loop of its own run, so that a stored run means something on another machine or another day.
Exit code 1 when a stage takes more than ``--tolerance`` longer than it did; stages that only one run has are
named. With ``--store``, STORED.json is
written instead: what NEW.json says without its thousands of raw timings, small enough to be committed.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crossiqa_edge.atomic import write_text
from crossiqa_edge.bench.tables import text
from crossiqa_edge.errors import CrossIQAError, InputError

TOLERANCE = 0.25  # medians of the same code differed by up to this much between runs on a shared machine


@dataclass(frozen=True)
class Stage:
    """One benchmark in two runs, in units of the calibration loop."""

    name: str
    before: float
    after: float

    @property
    def ratio(self) -> float:
        return self.after / self.before


def relative_medians(path: Path) -> dict[str, float]:
    """Median of each benchmark in ``path``, divided by the calibration loop's.

    Raises:
        InputError: not a result of pytest-benchmark, or without the calibration loop.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
        medians = {item["fullname"]: float(item["stats"]["median"]) for item in found}
        loops = [item["fullname"] for item in found if item.get("extra_info", {}).get("calibration")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not what pytest --benchmark-json writes ({error})") from error
    if len(loops) != 1:
        raise InputError(f"{path}: {len(loops)} calibration loops instead of one; run the whole folder")
    if bad := [name for name, median in medians.items() if not (median > 0 and math.isfinite(median))]:
        raise InputError(f"{path}: {bad[0]} took no possible time ({medians[bad[0]]}); measure again")
    unit = medians.pop(loops[0])
    return {name: median / unit for name, median in medians.items()}


def stages(before: Mapping[str, float], after: Mapping[str, float]) -> list[Stage]:
    """The benchmarks that both runs have, the one that lost most first.

    Raises:
        InputError: they have none in common.
    """
    shared = [Stage(name, before[name], after[name]) for name in before if name in after]
    if not shared:
        raise InputError("the two runs have no benchmark in common")
    return sorted(shared, key=lambda stage: -stage.ratio)


def store(new: Path, stored: Path) -> None:
    """Write to ``stored`` what ``new`` says, without its raw timings.

    Raises:
        InputError: ``new`` is nothing to compare with.
        OutputError: ``stored`` cannot be written.
    """
    relative_medians(new)
    values = json.loads(new.read_text(encoding="utf-8"))
    values.get("machine_info", {}).pop("node", None)  # the machine's name is nobody's business
    for item in values["benchmarks"]:
        item["stats"].pop("data", None)
    write_text(stored, json.dumps(values, indent=1) + "\n")


def _share(text: str) -> float:
    """A tolerance; nothing is ever slower by more than NaN."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no share of a stage's time")
    return value


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("stored", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--tolerance", type=_share, default=TOLERANCE, help="share, 0.25 by default")
    parser.add_argument("--store", action="store_true", help="write STORED from NEW, compare nothing")
    options = parser.parse_args(arguments)
    try:
        if options.store:
            store(options.new, options.stored)
            return 0
        before, after = relative_medians(options.stored), relative_medians(options.new)
        compared = stages(before, after)
    except CrossIQAError as error:
        print(f"gate: {error}", file=sys.stderr)
        return 2
    header = ("benchmark", "stored", "new", "new / stored")
    lines = [(s.name, f"{s.before:.4f}", f"{s.after:.4f}", f"{s.ratio:.2f}") for s in compared]
    print(text([header, *lines]))
    for name in sorted(before.keys() ^ after.keys()):
        print(f"gate: only in the {'stored' if name in before else 'new'} run: {name}", file=sys.stderr)
    slower = [stage for stage in compared if stage.ratio > 1 + options.tolerance]
    if slower:
        print(f"gate: {len(slower)} slower by more than {options.tolerance:.0%}", file=sys.stderr)
    return int(bool(slower))


if __name__ == "__main__":
    sys.exit(main())
