"""The kernels on the GPU of this machine, against what torch has: `python -m crossiqa_edge.bench.kernels`.

Candidates of a case compute the same from the same inputs, in turns, each call with a cold L2 cache, once
launched one by one and once from a CUDA graph. A row a candidate goes to kernels.jsonl: percentiles, the
ratio to ours with its interval, the share of what memory and tensor cores of this very GPU allow, and how
far its result is from torch's. What fails or does not fit into the time is a row that says so. Then come the
goals, and profiles of the cases that miss one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch

from crossiqa_edge.bench.gpu_timing import CudaTimer, Timer
from crossiqa_edge.bench.jsonl import Row, append
from crossiqa_edge.bench.kernel_cases import Planned
from crossiqa_edge.bench.kernel_facts import COMMIT, run_facts
from crossiqa_edge.bench.kernel_names import COMPILED, PERSISTENT, TUNED
from crossiqa_edge.bench.kernel_plan import experiments, plan
from crossiqa_edge.bench.kernel_profile import profile_missed
from crossiqa_edge.bench.kernel_results import still_to_do, title, to_go_on_with
from crossiqa_edge.bench.kernel_run import Budget, Roof, answers, now, run
from crossiqa_edge.bench.kernel_table import as_text, goals_as_text, profiles_as_text
from crossiqa_edge.bench.kernel_watch import watched
from crossiqa_edge.bench.timing import MIN_ROUNDS
from crossiqa_edge.errors import ConfigError, CrossIQAError, OutputError

FILE = "kernels.jsonl"
SECONDS = 500.0  # for everything; what torch.compile takes longer than expected comes on top
_CASES = 0.88  # of the time are for the cases, the rest for profiles and the experiment
_PATIENCE = 90.0  # seconds for a case of the experiment, compiling included
_COMPILED_BEFORE = {COMPILED: 10.0, TUNED: 20.0}  # seconds that torch.compile takes with its caches on disk
_SIDE = 8192  # of the matrix product that shows what tensor cores reach
_COPY = 1 << 30  # bytes of the copy that shows what memory reaches


def measure_roof(timer: Timer, device: str, *, side: int = _SIDE, copied: int = _COPY) -> tuple[float, float]:
    """(operations, bytes) a second of a large float16 product and a large copy: the best of 20 of each."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.float16) for _ in range(2))
    source = torch.zeros(copied, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product = min(timer(lambda: a @ b) for _ in range(20))
    copy = min(timer(lambda: target.copy_(source)) for _ in range(20))
    return 2e3 * side**3 / product, 2e3 * copied / copy


def measure_int8_roof(timer: Timer, device: str, *, side: int = _SIDE) -> float | None:
    """Operations a second of a large int8 product: the best of 20; None where torch has none there."""
    a, b = (torch.randint(-127, 128, (side, side), device=device, dtype=torch.int8) for _ in range(2))
    try:
        return 2e3 * side**3 / min(timer(lambda: torch._int_mm(a, b.t())) for _ in range(20))
    except RuntimeError:
        return None


@dataclass(frozen=True)
class Keeper:
    """Rows of this run and of the one that it goes on with, and the file to which each new one goes.

    Attributes:
        path: the file.
        facts: what the rows of this run have in common.
        rows: all of them.
    """

    path: Path
    facts: Row
    rows: list[Row]

    def keep(self, rows: Iterable[Row]) -> None:
        """Write each of ``rows`` as soon as it is there: what comes next may end the process."""
        for row in rows:
            self.rows.append({**self.facts, **row})
            append(self.path, self.rows[-1])


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if not torch.cuda.is_available():
        print("crossiqa: the kernels are timed on a CUDA GPU, and torch sees none here", file=sys.stderr)
        return 2
    try:
        with torch.no_grad():
            return _measure(options)
    except CrossIQAError as error:
        print(f"crossiqa: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0] if __doc__ else None,
        epilog=f"Where the copy has no .git, the variable {COMMIT} says which commit it is.",
    )
    parser.add_argument("--out", type=Path, required=True, help=f"folder to which {FILE} belongs")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for everything (%(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=20, help=f"turns of each candidate, at least {MIN_ROUNDS}"
    )
    parser.add_argument("--only", metavar="WORDS", help="cases whose name contains this: 'encoder size tiny'")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the file's last run: measure what it left out"
    )
    return parser


def _measure(options: argparse.Namespace) -> int:
    start = perf_counter()
    _check(options)
    path = _writable(options.out / FILE)
    facts = run_facts()
    earlier = to_go_on_with(path, facts) if options.resume else []
    if earlier:
        facts["run"] = earlier[0]["run"]
    timer = CudaTimer()
    roof = Roof(*measure_roof(timer, "cuda"), measure_int8_roof(timer, "cuda"))
    facts["roof"] = {"flops": roof.flops, "bytes": roof.moved, "int8": roof.int8}
    keeper = Keeper(path, facts, list(earlier))
    cases = _chosen(plan("cuda", torch.float16), options.only, earlier)
    budget = Budget(start + _CASES * options.seconds)
    try:
        keeper.keep(run(cases, timer, roof=roof, budget=budget, rounds=options.rounds))
    finally:
        _show(as_text(keeper.rows), goals_as_text(keeper.rows))
    rest = Budget(start + options.seconds, longest=dict(_COMPILED_BEFORE))
    later = len(keeper.rows)
    try:
        everything = _chosen(plan("cuda", torch.float16), options.only, [])
        keeper.keep(profile_missed(everything, keeper.rows, timer, rest))
        if answers(timer):
            trials = _chosen(experiments("cuda", torch.float16), options.only, earlier)
            _try(trials, keeper, timer, roof, rest, options.rounds)
    finally:
        _show(as_text(keeper.rows[later:]), profiles_as_text(keeper.rows))
    return 0 if answers(timer) else 1


def _try(
    trials: Sequence[Planned], keeper: Keeper, timer: Timer, roof: Roof, budget: Budget, rounds: int
) -> None:
    """Time what may never end; then the rows say so, and the process ends with a status of its own."""
    for item in trials:
        late = {
            "kernel": item.kernel,
            "shape": dict(item.shape),
            "made": now(),
            "candidate": PERSISTENT,
            "error": f"no end within {_PATIENCE:.0f} s",
        }

        def give_up(late: Row = late) -> None:
            keeper.keep([late])

        with watched(_PATIENCE, give_up):
            keeper.keep(run([item], timer, roof=roof, budget=budget, rounds=rounds))


def _chosen(planned: Sequence[Planned], only: str | None, earlier: Sequence[Row]) -> list[Planned]:
    wanted = still_to_do([title(item.kernel, item.shape) for item in planned], earlier, only)
    return [item for item, chosen in zip(planned, wanted, strict=True) if chosen]


def _check(options: argparse.Namespace) -> None:
    """Raise ConfigError where measuring would say nothing."""
    if options.rounds < MIN_ROUNDS:
        raise ConfigError(f"--rounds is at least {MIN_ROUNDS}, not {options.rounds}: fewer know of no drift")
    everything = plan("cuda", torch.float16) + experiments("cuda", torch.float16)
    if not _chosen(everything, options.only, []):
        raise ConfigError(f"no case's name contains {options.only!r}; leave out --only to see all of them")


def _writable(path: Path) -> Path:
    """``path`` in a folder that exists now; a minute of measuring is not to end in a file that cannot be.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent}: not made ({error.strerror}); choose another folder") from error
    new = not path.exists()
    append(path)
    if new:
        path.unlink()  # no file without a row in it
    return path


def _show(*tables: str) -> None:
    print("\n\n".join(tables), end="\n\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
