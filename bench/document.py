"""docs/benchmarks.md from a folder of results: ``python -m crossiqa_edge.bench.document FOLDER``.

The folder is what ``make bench`` leaves: ``points.jsonl``, ``roofline.md``, ``scaling.md``, ``peers.md`` and
the plots; also ``kernels.jsonl`` of a GPU and ``suites.json``, a stored run of the suites. Parts that are
absent are said to be absent.
"""

from __future__ import annotations

import sys
from pathlib import Path

from crossiqa_edge.bench.comparison import compare_runs
from crossiqa_edge.bench.gate import relative_medians
from crossiqa_edge.bench.jsonl import Row, parsed
from crossiqa_edge.bench.kernel_table import as_markdown
from crossiqa_edge.bench.pages import image, print_page
from crossiqa_edge.bench.report import report_markdown
from crossiqa_edge.bench.rows import latest_run, read
from crossiqa_edge.bench.tables import change_cells, markdown
from crossiqa_edge.errors import InputError

_PAGE = """# Benchmarks

Made by `make bench` and `python -m crossiqa_edge.bench.document FOLDER`; the results lie in `{folder}`.
Points are timed in turns, so that a machine whose speed drifts treats them alike; intervals resample whole
turns; no call is left out as an outlier. `crossiqa bench` does the same for any models, backends and data.

## Latency and accuracy

The probe's opinions are population MOS of degradations that training knew too, on pictures that it did not:
it tells whether a precision or backend loses ranks. How good a model is: [accuracy.md](accuracy.md).

{points}
{picture}
## The point for a budget

    crossiqa tune --max-latency-ms 20 --fps 30 -o point.json
    crossiqa score --config point.json PHOTO

`crossiqa tune` times every model, backend, batch (1, 2, 4, 8) and way to read a picture that this machine
can run without minutes of compiling, an engine that `crossiqa export` built among them, and chooses the most
accurate that keeps the budget in 99 % of the calls (`--p`). With `--fps`, a batch has to fill first, which
counts as latency. `--min-srcc` asks for a least accuracy, `--data` for that on your own pictures. `score`,
`watch` and `serve` read the file. With all shipped models and two backends this takes minutes and about 2 GB
of memory; `--model nano` takes less. It exits with 1 where nothing fits; the table says by how much.

## Twice on the same machine

The same points measured a second time, relative to the calibration loop of each run. "Same": no difference,
and one of a tenth would have shown; "undecided": no difference, but too noisy for that.
`crossiqa bench compare BEFORE.jsonl AFTER.jsonl` prints this table of any two result files (`--out` of
`crossiqa bench`); it exits with 1 where a point became slower (`--fail-slower`) or lost more SRCC than was
allowed (`--fail-srcc 0.01`).

{again}

## Roofline

Inference alone, views in memory (`crossiqa bench roofline`):

{roofline}

Each kernel against what memory and tensor cores of a GPU reach (`python -m crossiqa_edge.bench.kernels`,
column "of the roof"; [kernels.md](kernels.md)). A run takes up to nine minutes and writes every row as soon
as it is there; what torch.compile had no time for is measured by the same command with `--resume`. Below the
timings stand the goals, and for each that is missed the kernels that the GPU ran:

{kernels}

## Scaling

`crossiqa bench scaling`: measured medians, the law that theory expects, and how far it is off at most.

{scaling}
{curves}
## Peers

`crossiqa bench peers`, the same pictures in the same run. The packages of the classical metrics must be
installed by hand; without one, `crossiqa bench peers` says how. NIQE is that of `basicsr`, with its authors'
parameters: on the five distorted pictures for which pyiqa publishes what the authors' own program gives, it
is within 1.5 % of that. The NIQE of `scikit-video` 1.1.11 gives up to four times as much there, and is not
used.

Backbones are untrained: they stand for what another network of that size would cost, and have no accuracy.
They run as ONNX in onnxruntime with our settings, on the same views. `--pyiqa NAME` adds a metric of pyiqa
where that is installed; the way to it is tested against a stand-in, for pyiqa's weights could not be fetched
here.

{peers}

## Has a stage become slower?

`pytest bench --benchmark-json=NEW.json` times decoding, sampling, inference, pooling, export and the kernels'
references; `python -m crossiqa_edge.bench.gate STORED.json NEW.json` compares with a stored run and fails
where a stage takes a quarter longer (`--store` keeps the new one as the stored one); stages that only one
run has are named. Both count in units of a calibration loop that each has timed itself, so that they may come
from different machines.

{suites}

What was not run: any GPU. The commands are the same there.
"""

_ABSENT = "Not measured in this run.\n"


def page(folder: Path) -> str:
    """The page about the results in ``folder``.

    Raises:
        InputError: ``points.jsonl`` is absent or no result.
    """
    rows = read(folder / "points.jsonl")
    return _PAGE.format(
        folder=folder.as_posix(),
        points=report_markdown(latest_run(rows)),
        picture=image(folder, "tradeoff.png", "Accuracy against milliseconds a picture"),
        again=_again(rows),
        roofline=_part(folder / "roofline.md"),
        kernels=_kernels(folder / "kernels.jsonl"),
        scaling=_part(folder / "scaling.md"),
        curves=image(folder, "scaling.png", "Measured costs beside their laws"),
        peers=_part(folder / "peers.md"),
        suites=_suites(folder / "suites.json"),
    )


def _again(rows: list[Row]) -> str:
    """The last run beside the one before it, of the same file and so of the same machine."""
    last = latest_run(rows)
    before = [row for row in rows if row["run"] != last[0]["run"]]
    if not before:
        return _ABSENT
    try:
        return markdown(change_cells(compare_runs(latest_run(before), last)))
    except InputError as error:  # of other points, or other pictures
        return f"Not comparable: {error}.\n"


def _part(path: Path) -> str:
    return path.read_text(encoding="utf-8").rstrip() + "\n" if path.is_file() else _ABSENT


def _kernels(path: Path) -> str:
    if not path.is_file():
        return _ABSENT
    rows = [row for _, row in parsed(path)]
    return as_markdown(latest_run(rows)) + "\n"


def _suites(path: Path) -> str:
    if not path.is_file():
        return _ABSENT
    cells = [(name.split("::")[-1], f"{median:.4f}") for name, median in relative_medians(path).items()]
    table = markdown([("benchmark", "median, calibration loops"), *cells])
    return f"The stored run of this machine is `{path.as_posix()}`:\n\n{table}\n"


def main(arguments: list[str] | None = None) -> int:
    return print_page(page, __doc__ or "", arguments)


if __name__ == "__main__":
    sys.exit(main())
