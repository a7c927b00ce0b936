"""What int8 buys on this CPU, by runtime: `python -m crossiqa_edge.bench.cpu_int8 --int8 FILE [--json]`.

All candidates take turns in one run, so that their ratios to onnxruntime's float32 are of the same weather.
Beside them stand the machine's peaks, large products through the same runtimes, and the most that int8 can
give here: the time of the quantised products at the float32 peak, put in at the int8 peak, all else as it is.

What the instruction sets allow, in products (multiply and add) a cycle of 256-bit registers: with FMA 8 to a
multiplier. With AVX2 alone, int8 takes ``vpmaddubsw`` (32 products, summed in pairs), then ``vpmaddwd`` by
ones (sums of four): 32 in two multiplications, 16 to a multiplier, twice float32. ``vpdpbusd`` of VNNI does
both in one: four times float32.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import click
import numpy as np

from crossiqa_edge.bench.command import POSITIVE, Program
from crossiqa_edge.bench.cpu_candidates import candidates
from crossiqa_edge.bench.cpu_peaks import peaks
from crossiqa_edge.bench.facts import facts, weather
from crossiqa_edge.bench.roofline import count
from crossiqa_edge.bench.timing import Timing, compare, interleave
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.export.probe import probe_views
from crossiqa_edge.imaging.sampling import Views
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.backend import Backend, Scores
from crossiqa_edge.runtime.scorer import locate
from crossiqa_edge.training.metrics import srcc

BASELINE = "onnxruntime fp32"
BATCHES = (1, 8)


@click.command(cls=Program)
@click.option("--fp32", default="nano", show_default=True, metavar="NAME|FILE", help="The float32 graph.")
@click.option("--int8", required=True, metavar="NAME|FILE", help="Its Q/DQ graph, from crossiqa export.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of one inference.  [default: all]")
@click.option("--seconds", type=POSITIVE, default=10.0, show_default=True, help="Timing of each candidate.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def main(fp32: str, int8: str, threads: int | None, seconds: float, as_json: bool) -> None:
    """Time float32 and int8 through every CPU runtime that is installed."""
    found = run(Artefact.open(locate(fp32)), Artefact.open(locate(int8)), threads=threads, seconds=seconds)
    click.echo(json.dumps(found, indent=1) if as_json else as_text(found))


def run(
    fp32: Artefact,
    int8: Artefact,
    *,
    threads: int | None = None,
    seconds: float = 10.0,
    peak_seconds: float = 1.0,
) -> dict[str, Any]:
    """JSON-ready figures: candidates with their scores' agreement and times, peaks, and limits.

    Raises:
        ConfigError: the two are not the float32 and the int8 graph of one model.
    """
    if (fp32.card.precision, int8.card.precision) != ("fp32", "int8") or fp32.card.name != int8.card.name:
        raise ConfigError(f"{fp32.path} and {int8.path} are not the fp32 and the int8 graph of one model")
    opened, absent = candidates(fp32, int8, threads)
    probe = probe_views(fp32.card)
    scores = {name: _scores(backend, probe) for name, backend in opened.items()}
    before = weather()
    timings = {batch: _timed(opened, probe[:batch], seconds) for batch in BATCHES}
    peak_rates = peaks(threads, peak_seconds)
    quantised = count(int8.path).integer_flops / 1e9
    return {
        **facts(),
        "weather": {"before": before, "after": weather()},
        "threads": threads,
        "fp32": {"sha256": fp32.sha256, "bytes": fp32.size},
        "int8": {"sha256": int8.sha256, "bytes": int8.size},
        "gop_a_view": round(count(fp32.path).flops / 1e9, 4),
        "quantised_gop_a_view": round(quantised, 4),
        "peaks_gop_s": peak_rates,
        "candidates": {
            name: {
                **_agreement(scores[name], scores[BASELINE]),
                **{f"batch {batch}": _figures(times, name, batch) for batch, times in timings.items()},
            }
            for name in opened
        },
        "absent": absent,
        "limit": {
            f"batch {batch}": _limit(times[BASELINE].median / batch, quantised, peak_rates)
            for batch, times in timings.items()
        },
    }


def _scores(backend: Backend, views: Views) -> Scores:
    scores: Scores = np.concatenate([backend.infer(views[i : i + 8]) for i in range(0, len(views), 8)])
    return scores


def _timed(opened: Mapping[str, Backend], views: Views, seconds: float) -> dict[str, Timing]:
    def call(backend: Backend) -> Callable[[], object]:
        return lambda: backend.infer(views)

    return interleave({name: call(backend) for name, backend in opened.items()}, seconds=seconds)


def _agreement(given: Scores, expected: Scores) -> dict[str, float]:
    difference = np.abs(given.astype(np.float64) - expected)
    return {
        "srcc": round(srcc(given.astype(np.float64), expected.astype(np.float64)), 5),
        "mean_difference": round(float(difference.mean()), 4),
        "max_difference": round(float(difference.max()), 4),
    }


def _figures(timings: Mapping[str, Timing], name: str, batch: int) -> dict[str, Any]:
    timing, faster = timings[name], compare(timings[BASELINE], timings[name])
    low, high = timing.interval()
    return {
        "ms_a_view": round(timing.median / batch, 4),
        "interval": [round(low / batch, 4), round(high / batch, 4)],
        "times_faster": round(faster.ratio, 3),
        "times_faster_interval": [round(bound, 3) for bound in faster.interval],
    }


def _limit(float32_ms: float, quantised_gop: float, peaks_gop_s: Mapping[str, float]) -> dict[str, float]:
    """How much faster the baseline would be with its quantised products at the int8 peak, all else as now."""
    integer = max(rate for name, rate in peaks_gop_s.items() if "float32" not in name)
    now = 1e3 * quantised_gop / peaks_gop_s["onnxruntime float32"]
    then = 1e3 * quantised_gop / integer
    return {
        "share_in_float32": round(now / float32_ms, 3),
        "times_faster": round(float32_ms / (float32_ms - now + then), 3),
    }


def as_text(found: Mapping[str, Any]) -> str:
    """The figures for people."""
    machine = found["machine"]
    columns = "".join(f"{f'batch {batch}, ms':>13}{'GOP/s':>7}{'times faster':>22}" for batch in BATCHES)
    lines = [
        f"{machine['cpu']}, {', '.join(machine['instructions'])}; medians a view, 95 % intervals",
        f"{'':26}{columns}     SRCC  mean |d|",
    ]
    for name, figures in found["candidates"].items():
        cells = "".join(_cells(figures[f"batch {batch}"], found["gop_a_view"]) for batch in BATCHES)
        lines.append(f"{name:26}{cells}  {figures['srcc']:.5f}  {figures['mean_difference']:.3f}")
    lines += [f"{name}: not run, {why}" for name, why in found["absent"].items()]
    lines.append(f"work: {found['gop_a_view']} GOP a view, {found['quantised_gop_a_view']} of them in int8")
    lines += [f"peak, {name}: {rate:.0f} GOP/s" for name, rate in found["peaks_gop_s"].items()]
    lines += [
        f"limit at {at}: {limit['times_faster']} times, for at its peak rate float32 would spend "
        f"{limit['share_in_float32']:.0%} of its time on what becomes int8"
        for at, limit in found["limit"].items()
    ]
    return "\n".join(lines)


def _cells(at: Mapping[str, Any], work: float) -> str:
    low, high = at["times_faster_interval"]
    rate = 1e3 * work / at["ms_a_view"]
    return f"{at['ms_a_view']:13.2f}{rate:7.0f}{at['times_faster']:8.2f} ({low:.2f}, {high:.2f})"


if __name__ == "__main__":
    main()
