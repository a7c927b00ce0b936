"""The kernels on the GPU of this machine, against what torch has: `python -m crossiqa_edge.bench.kernels`.

Candidates of a case compute the same from the same inputs, in turns, each call with a cold L2 cache, once
launched one by one and once from a CUDA graph. A row a candidate goes to kernels.jsonl: percentiles, the
ratio to ours with its interval, the share of what memory and tensor cores of this very GPU allow, and how
far its result is from torch's. What fails or does not fit into the time is a row that says so.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timezone
from functools import partial
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from crossiqa_edge.bench.facts import facts
from crossiqa_edge.bench.gpu_timing import Call, CudaTimer, Timer, take_turns
from crossiqa_edge.bench.jsonl import Row, append
from crossiqa_edge.bench.kernel_cases import EAGER, OURS, Case, kernel_cases
from crossiqa_edge.bench.kernel_encoders import TUNED, encoder_cases
from crossiqa_edge.bench.kernel_table import as_text
from crossiqa_edge.bench.rows import FORMAT
from crossiqa_edge.bench.timing import Timing, compare
from crossiqa_edge.errors import CrossIQAError

FILE = "kernels.jsonl"
SECONDS = 400.0  # after which no case is begun; torch.compile may take two minutes in the last one
_SIDE = 8192  # of the matrix product that shows what tensor cores reach
_COPY = 1 << 30  # bytes of the copy that shows what memory reaches


def run(
    cases: Iterable[Case], timer: Timer, *, roof: tuple[float, float], seconds: float, rounds: int
) -> Iterator[Row]:
    """A row for each candidate and mode of each case; after ``seconds``, rows that say it was left out.

    Args:
        roof: operations and bytes a second that this GPU reaches.
    """
    end = perf_counter() + seconds
    for case in cases:
        described = {"kernel": case.kernel, "shape": dict(case.shape)}
        if perf_counter() > end:
            yield {**described, "candidate": None, "error": "left out: the time was over"}
            continue
        calls, failed = _prepared(case)
        distances = _distances(calls)
        graphs, not_recorded = _recorded(calls, timer)
        for name, error in chain(failed.items(), not_recorded.items()):
            yield {**described, "candidate": name, "error": error}
        for mode, ready in (("launches", calls), ("graph", graphs)):
            timings = take_turns(ready, timer, rounds=rounds)
            for name, timing in timings.items():
                yield {
                    **described,
                    "candidate": name,
                    "mode": mode,
                    **_figures(timing, timings.get(OURS), case, roof),
                    "distance": distances[name],
                }


def _prepared(case: Case) -> tuple[dict[str, Call], dict[str, str]]:
    """The calls that work here, called once, and why the others do not."""
    calls: dict[str, Call] = {}
    failed: dict[str, str] = {}
    for name, prepare in case.candidates.items():
        _attempt(name, partial(_called, prepare), calls, failed)
    return calls, failed


def _recorded(calls: dict[str, Call], timer: Timer) -> tuple[dict[str, Call], dict[str, str]]:
    """Each call as a graph; what torch.compile has recorded already stays out."""
    graphs: dict[str, Call] = {}
    failed: dict[str, str] = {}
    for name, call in calls.items():
        if name != TUNED:
            _attempt(name, partial(timer.record, call), graphs, failed)
    return graphs, failed


def _attempt(name: str, make: Callable[[], Call], made: dict[str, Call], failed: dict[str, str]) -> None:
    try:
        made[name] = make()
    except Exception as error:  # a backend that a GPU lacks raises what it likes
        failed[name] = " ".join(str(error).split())[:300]


def _called(prepare: Callable[[], Call]) -> Call:
    call = prepare()
    call()
    return call


def _distances(calls: dict[str, Call]) -> dict[str, float]:
    """RMS difference of each candidate's result to torch's, relative to the RMS of the latter."""
    results = {name: _first(call()) for name, call in calls.items()}
    known = [name for name in results if name != OURS]
    if not known:
        return dict.fromkeys(results, float("nan"))
    reference = results[EAGER if EAGER in results else known[-1]]
    scale = float(reference.square().mean().sqrt())
    return {
        name: float(f"{float((result - reference).square().mean().sqrt()) / scale:.3g}")
        for name, result in results.items()
    }


def _first(result: Any) -> torch.Tensor:
    tensor: torch.Tensor = result[0] if isinstance(result, tuple) else result
    return tensor.detach().double()


def _figures(timing: Timing, ours: Timing | None, case: Case, roof: tuple[float, float]) -> Row:
    low, high = timing.interval()
    attainable = 1e3 * max(case.flops / roof[0], case.moved / roof[1])
    comparison = None if ours is None or ours is timing else compare(timing, ours)
    return {
        "calls": len(timing.calls),
        "p50_ms": round(timing.median, 6),
        "p95_ms": round(timing.percentile(95), 6),
        "p50_interval_ms": [round(low, 6), round(high, 6)],
        "roof_share": round(attainable / timing.median, 4),
        "ratio_to_ours": None if comparison is None else round(comparison.ratio, 4),
        "ratio_interval": None if comparison is None else [round(x, 4) for x in comparison.interval],
    }


def measure_roof(timer: Timer, device: str, *, side: int = _SIDE, copied: int = _COPY) -> tuple[float, float]:
    """(operations, bytes) a second of a large float16 product and a large copy: the best of 20 of each."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.float16) for _ in range(2))
    source = torch.zeros(copied, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product = min(timer(lambda: a @ b) for _ in range(20))
    copy = min(timer(lambda: target.copy_(source)) for _ in range(20))
    return 2e3 * side**3 / product, 2e3 * copied / copy


def gpu() -> Row:
    """The facts of the current CUDA device that a row cannot be read without."""
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return {
        "device": properties.name,
        "architecture": f"sm_{properties.major}{properties.minor}",
        "cuda": torch.version.cuda,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help=f"folder to which {FILE} belongs")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="after which no case is begun")
    parser.add_argument("--rounds", type=int, default=20, help="turns of each candidate, at least 8")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("crossiqa: the kernels are timed on a CUDA GPU, and torch sees none here", file=sys.stderr)
        return 2
    start = perf_counter()
    timer = CudaTimer()
    roof = measure_roof(timer, "cuda")
    run_facts = {
        "format": FORMAT,
        "run": secrets.token_hex(6),
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **gpu(),
        "roof": {"flops": roof[0], "bytes": roof[1]},
        **facts(),
    }
    cases = chain(kernel_cases("cuda", torch.float16), encoder_cases("cuda", torch.float16))
    rows = []
    try:
        with torch.no_grad():
            left = options.seconds - (perf_counter() - start)
            for row in run(cases, timer, roof=roof, seconds=left, rounds=options.rounds):
                rows.append({**run_facts, **row})
                append(options.out / FILE, rows[-1])
    except CrossIQAError as error:
        print(f"crossiqa: {error}", file=sys.stderr)
        return 2
    print(as_text(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
