"""The kernel benchmark without a GPU: statistics, rows and table, on CPU tensors with a counting timer."""

import itertools
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the kernel benchmark needs the train extra")
pytest.importorskip("triton", reason="the kernel benchmark needs Triton")

from crossiqa_edge.bench import kernels  # noqa: E402
from crossiqa_edge.bench.gpu_timing import take_turns  # noqa: E402
from crossiqa_edge.bench.kernel_cases import (  # noqa: E402
    EAGER,
    OURS,
    Case,
    attention_case,
    attention_int8_case,
    int8_case,
    linear_case,
    row_cases,
)
from crossiqa_edge.bench.kernel_encoders import (  # noqa: E402
    embed_case,
    encoder_case,
    frame_case,
    head_case,
    sampled_cases,
)
from crossiqa_edge.bench.kernel_table import HEADER, as_markdown, as_text  # noqa: E402
from crossiqa_edge.bench.kernels import main, measure_roof, run  # noqa: E402

CPU = {"device": "cpu", "dtype": torch.float32}
HALF = {"device": "cpu", "dtype": torch.float16}  # int8 attention takes no float32
ROOF = (1e12, 1e11)  # operations and bytes a second


class Clock:
    """A timer that takes what a call is said to take, and counts."""

    def __init__(self, milliseconds=None):
        self.milliseconds = milliseconds or (lambda call: 1.0)
        self.timed = []

    def __call__(self, call):
        call()
        self.timed.append(call)
        return self.milliseconds(call)

    def record(self, call):
        return lambda: call()


def slow_and_fast():
    """Two calls with results that differ by a tenth, and how long each takes."""
    ours, torchs = (lambda: torch.full((4,), 1.1)), (lambda: torch.full((4,), 1.0))
    case = Case("toy", {"n": 4}, 2e6, 3e5, {OURS: lambda: ours, EAGER: lambda: torchs})
    return case, Clock(lambda call: 2.0 if call is ours else 5.0)


def rows_of(case, clock, **values):
    return list(run([case], clock, **{"roof": ROOF, "seconds": 60.0, "rounds": 8, **values}))


def test_candidates_take_turns():
    names = {name: (lambda name=name: name) for name in "ab"}
    clock = Clock()
    timings = take_turns(names, clock, rounds=8, calls=2)
    assert [call() for call in clock.timed] == ["a", "a", "b", "b"] * 8
    assert [len(part) for part in timings["a"].rounds] == [2] * 8


def test_a_row_says_how_long_how_near_the_roof_and_how_far_from_torch():
    rows = {(row["candidate"], row["mode"]): row for row in rows_of(*slow_and_fast())}
    assert set(rows) == set(itertools.product([OURS, EAGER], ["launches", "graph"]))
    ours, torchs = rows[OURS, "launches"], rows[EAGER, "launches"]
    assert (ours["p50_ms"], torchs["p50_ms"], ours["calls"]) == (2.0, 5.0, 40)
    assert (torchs["ratio_to_ours"], torchs["ratio_interval"]) == (2.5, [2.5, 2.5])
    assert ours["ratio_to_ours"] is None
    # 2e6 operations take 2 us at this roof, 3e5 bytes take 3 us: memory is the limit, of 2 ms
    assert ours["roof_share"] == pytest.approx(0.0015)
    assert ours["distance"] == pytest.approx(0.1, rel=1e-6)
    assert torchs["distance"] == 0.0


def test_a_candidate_that_fails_is_a_row_and_the_others_go_on():
    case, clock = slow_and_fast()

    def broken():
        raise RuntimeError("no such\nkernel image")

    case.candidates["sdpa cudnn"] = lambda: broken
    rows = rows_of(case, clock)
    assert [row["error"] for row in rows if "error" in row] == ["no such kernel image"]
    assert len(rows) == 5


def test_a_candidate_that_no_graph_takes_is_still_timed_by_launches():
    case, clock = slow_and_fast()
    real = clock.record

    def record(call):
        if not clock.timed and call().mean() > 1.05:
            raise RuntimeError("operation not permitted when stream is capturing")
        return real(call)

    clock.record = record
    rows = rows_of(case, clock)
    assert [(row["candidate"], row.get("mode")) for row in rows] == [
        (OURS, None),
        (OURS, "launches"),
        (EAGER, "launches"),
        (EAGER, "graph"),
    ]


def test_what_no_longer_fits_into_the_time_is_a_row_that_says_so():
    case, clock = slow_and_fast()
    (row,) = rows_of(case, clock, seconds=-1.0)
    assert row["error"] == "left out: the time was over"
    assert not clock.timed


def test_the_roof_is_the_best_of_what_was_seen():
    times = iter([3.0, 2.0, *[4.0] * 18, *[1.0] * 20])
    flops, moved = measure_roof(Clock(lambda call: next(times)), "cpu", side=16, copied=1000)
    assert flops == pytest.approx(2 * 16**3 / 2e-3)
    assert moved == pytest.approx(2 * 1000 / 1e-3)


CASES = {
    "attention": lambda: attention_case(2, 5, 2, 32, **CPU, compiled=False),
    "attention_int8": lambda: attention_int8_case(2, 5, 2, 32, **HALF, compiled=False),
    "layer_norm": lambda: next(row_cases(6, 32, **CPU, compiled=False)),
    "add_layer_norm": lambda: list(row_cases(6, 32, **CPU, compiled=False))[1],
    "linear": lambda: linear_case(6, 32, 16, "bias", **CPU, compiled=False),
    "linear with GELU": lambda: linear_case(6, 32, 16, "gelu", **CPU, compiled=False),
    "linear with residual": lambda: linear_case(6, 32, 16, "residual", **CPU, compiled=False),
    "linear_int8": lambda: int8_case(6, 32, 16, **CPU, compiled=False),
    "encoder": lambda: encoder_case("micro", 2, **CPU, compiled=False),
    "encoder of one view": lambda: encoder_case("micro", 1, **CPU, compiled=False),
    "frame to score": lambda: frame_case("micro", 300, 400, **CPU, compiled=False),
    "embed": lambda: embed_case("micro", 300, 400, **CPU, compiled=False),
    "head": lambda: head_case("micro", 3, **CPU, compiled=False),
}


@pytest.mark.parametrize("name", CASES)
def test_candidates_compute_the_same(name):
    """Otherwise their times would not be comparable. int8 rounds to 127 steps; all else is float32."""
    case = CASES[name]()
    with torch.no_grad():
        calls, failed = kernels._prepared(case)
        distances = kernels._distances(calls)
    assert case.kernel == name.split(" with ")[0].split(" of ")[0]
    # on a CPU torch has the mathematical backend, and at most the flash one
    assert set(failed) <= {"sdpa flash", "sdpa efficient", "sdpa cudnn"}
    assert OURS in distances
    assert len(distances) >= 2
    assert max(distances.values()) < (0.02 if name.endswith("int8") else 1e-4)
    assert case.flops > 0
    assert case.moved > 0


def test_torch_compile_is_a_candidate_where_it_is_wanted():
    cases = [attention_case(1, 5, 2, 32, **CPU, compiled=True)]
    cases += [attention_int8_case(1, 5, 2, 32, **HALF, compiled=True)]
    cases += sampled_cases("micro", **CPU, compiled=True)
    assert {case.kernel for case in cases} > {"embed", "head", "frame to score"}
    assert all("torch.compile" in case.candidates for case in cases)


def test_operations_of_an_encoder_are_those_of_its_products():
    """nano: 6 blocks of 12 * 128^2 weights and two products of 197 x 197 x 128, two operations each."""
    case = encoder_case("nano", 1, device="cpu", dtype=torch.float16, compiled=False)
    assert case.flops == 6 * (2 * 197 * 12 * 128**2 + 4 * 197**2 * 128)


def test_without_a_gpu_it_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["--out", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.err == "crossiqa: the kernels are timed on a CUDA GPU, and torch sees none here\n"
    assert not list(tmp_path.iterdir())


@pytest.fixture
def stand_in_gpu(monkeypatch):
    """A machine whose GPU is a clock: everything of ``main`` but the device itself."""
    case, clock = slow_and_fast()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(kernels, "CudaTimer", lambda: clock)
    monkeypatch.setattr(kernels, "measure_roof", lambda timer, device: ROOF)
    monkeypatch.setattr(kernels, "gpu", lambda: {"device": "Toy 1", "architecture": "sm_90", "cuda": "13.0"})
    monkeypatch.setattr(kernels, "kernel_cases", lambda device, dtype: [case])
    monkeypatch.setattr(kernels, "encoder_cases", lambda device, dtype: [])


def test_rows_are_written_with_where_they_come_from_and_a_table_is_printed(tmp_path, capsys, stand_in_gpu):
    assert main(["--out", str(tmp_path), "--rounds", "8"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "kernels.jsonl").read_text().splitlines()]
    assert len(rows) == 4
    assert {"device", "architecture", "cuda", "commit", "libraries", "machine", "roof", "run"} <= set(rows[0])
    printed = capsys.readouterr().out
    assert all(name in printed for name in HEADER)
    assert "2.50 (2.50 to 2.50)" in printed


def test_a_folder_that_does_not_exist_is_one_line(tmp_path, capsys, stand_in_gpu):
    assert main(["--out", str(tmp_path / "absent"), "--rounds", "8"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_tables_hold_every_row():
    rows = [
        {"device": "Toy 1", "architecture": "sm_90", "cuda": "13.0", "commit": "abc", **row}
        for row in [*rows_of(*slow_and_fast()), *rows_of(*slow_and_fast(), seconds=-1.0)]
    ]
    text, markdown = as_text(rows), as_markdown(rows)
    assert len(text.splitlines()) == 1 + len(rows)
    assert markdown.startswith("Measured on Toy 1 (sm_90), CUDA 13.0, commit abc.")
    assert (
        "| toy n 4 | eager | launches | 5000.0 | 5000.0 | 0 % | 2.50 (2.50 to 2.50) | 0.0e+00 |" in markdown
    )
    assert "left out: the time was over" in markdown
    assert np.all([line.count("|") == len(HEADER) + 1 for line in markdown.splitlines()[2:]])
