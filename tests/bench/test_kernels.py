"""The command of the kernel benchmark without a GPU: files, goals, tables, and what ends it early."""

import json
from functools import partial
from threading import Event

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the kernel benchmark needs the train extra")
pytest.importorskip("triton", reason="the kernel benchmark needs Triton")

from kernel_stand_ins import ROOF, Clock, rows_of, toy  # noqa: E402

from crossiqa_edge.bench import kernel_facts, kernel_table, kernels  # noqa: E402
from crossiqa_edge.bench.kernel_facts import driver, run_facts  # noqa: E402
from crossiqa_edge.bench.kernel_names import EAGER, OURS, PERSISTENT, TUNED  # noqa: E402
from crossiqa_edge.bench.kernel_results import LEFT_OUT  # noqa: E402
from crossiqa_edge.bench.kernel_run import Budget  # noqa: E402
from crossiqa_edge.bench.kernel_table import HEADER, as_markdown, as_text  # noqa: E402
from crossiqa_edge.bench.kernel_watch import watched  # noqa: E402
from crossiqa_edge.bench.kernels import main, measure_int8_roof, measure_roof  # noqa: E402

QUICK = ("--rounds", "8")


def test_the_roof_is_the_best_of_what_was_seen():
    times = iter([3.0, 2.0, *[4.0] * 18, *[1.0] * 20])
    flops, moved = measure_roof(Clock(lambda call: next(times)), "cpu", side=16, copied=1000)
    assert flops == pytest.approx(2 * 16**3 / 2e-3)
    assert moved == pytest.approx(2 * 1000 / 1e-3)


def test_the_roof_of_int8_is_that_of_its_own_product(monkeypatch):
    times = iter([3.0, 2.0, *[4.0] * 18])
    assert measure_int8_roof(Clock(lambda call: next(times)), "cpu", side=32) == pytest.approx(
        2 * 32**3 / 2e-3
    )

    def absent(a, b):
        raise NotImplementedError("aten::_int_mm")

    monkeypatch.setattr(torch, "_int_mm", absent)
    assert measure_int8_roof(Clock(), "cpu", side=32) is None


def test_without_a_gpu_it_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["--out", str(tmp_path / "absent")]) == 2
    captured = capsys.readouterr()
    assert captured.err == "crossiqa: the kernels are timed on a CUDA GPU, and torch sees none here\n"
    assert not list(tmp_path.iterdir())


@pytest.fixture
def stand_in_gpu(monkeypatch):
    """A machine whose GPU is a clock: everything of ``main`` but the device itself."""
    case = toy()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(kernels, "CudaTimer", lambda: case.clock)
    monkeypatch.setattr(kernels, "measure_roof", lambda timer, device: (ROOF.flops, ROOF.moved))
    monkeypatch.setattr(kernels, "measure_int8_roof", lambda timer, device: ROOF.int8)
    device = {"device": "Toy 1", "architecture": "sm_90", "cuda": "13.0"}
    monkeypatch.setattr(kernel_facts, "gpu", lambda: device)
    monkeypatch.setattr(kernels, "plan", lambda device, dtype: [case.planned])
    monkeypatch.setattr(kernels, "experiments", lambda device, dtype: [])
    return case


def stored(folder):
    return [json.loads(line) for line in (folder / "kernels.jsonl").read_text().splitlines()]


def test_rows_are_written_with_where_they_come_from_and_tables_are_printed(tmp_path, capsys, stand_in_gpu):
    folder = tmp_path / "made" / "for it"
    assert main(["--out", str(folder), *QUICK]) == 0
    rows = stored(folder)
    assert len(rows) == 4
    facts = {
        "device",
        "architecture",
        "cuda",
        "driver",
        "commit",
        "libraries",
        "machine",
        "roof",
        "run",
        "made",
    }
    assert facts <= set(rows[0])
    assert rows[0]["roof"] == {"flops": 1e12, "bytes": 1e11, "int8": 2e12}
    assert "timm" in rows[0]["libraries"]
    printed = capsys.readouterr().out
    assert all(name in printed for name in HEADER)
    assert "2.50 (2.50 to 2.50)" in printed
    assert "under 20 µs for a 4K frame" in printed
    assert "not measured" in printed


def test_a_folder_that_cannot_be_is_one_line_before_anything_is_measured(tmp_path, capsys, stand_in_gpu):
    (tmp_path / "file").write_text("")
    assert main(["--out", str(tmp_path / "file"), *QUICK]) == 2
    (tmp_path / "kernels.jsonl").mkdir()
    assert main(["--out", str(tmp_path), *QUICK]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert not stand_in_gpu.clock.timed


def test_a_run_that_breaks_off_leaves_its_rows_and_its_table(tmp_path, capsys, monkeypatch, stand_in_gpu):
    def interrupted():
        raise KeyboardInterrupt

    broken = kernels.Planned("broken", {}, interrupted)
    monkeypatch.setattr(kernels, "plan", lambda device, dtype: [stand_in_gpu.planned, broken])
    with pytest.raises(KeyboardInterrupt):
        main(["--out", str(tmp_path), *QUICK])
    assert len(stored(tmp_path)) == 4
    assert "2.50 (2.50 to 2.50)" in capsys.readouterr().out


def test_a_second_call_measures_what_the_first_left_out(tmp_path, monkeypatch, stand_in_gpu):
    late = toy("late", **{TUNED: lambda: lambda: torch.ones(4)})
    monkeypatch.setattr(kernels, "plan", lambda device, dtype: [stand_in_gpu.planned, late.planned])
    monkeypatch.setenv("CROSSIQA_COMMIT", "abc")
    assert main(["--out", str(tmp_path), "--seconds", "50", *QUICK]) == 0
    first = stored(tmp_path)
    assert [row["candidate"] for row in first if row.get("error") == LEFT_OUT] == [TUNED]
    assert main(["--out", str(tmp_path), "--resume", *QUICK]) == 0
    added = stored(tmp_path)[len(first) :]
    assert {row["run"] for row in added} == {first[0]["run"]}
    assert {(row["kernel"], row["candidate"]) for row in added} == {
        ("late", name) for name in (OURS, EAGER, TUNED)
    }
    assert len(as_text(stored(tmp_path)).splitlines()) == 1 + 4 + 6
    done = len(stored(tmp_path))
    assert main(["--out", str(tmp_path), "--resume", *QUICK]) == 0
    assert len(stored(tmp_path)) == done


def test_a_case_that_was_cut_off_between_its_modes_is_measured_again(tmp_path, monkeypatch, stand_in_gpu):
    """As by a limit on the time of a command, which kills it."""

    def broken():
        raise RuntimeError("no kernel image")

    case = toy("whole", sdpa=lambda: broken)
    monkeypatch.setattr(kernels, "plan", lambda device, dtype: [case.planned, stand_in_gpu.planned])
    monkeypatch.setenv("CROSSIQA_COMMIT", "abc")
    assert main(["--out", str(tmp_path), *QUICK]) == 0
    rows = stored(tmp_path)
    assert len(rows) == 5 + 4
    lines = (tmp_path / "kernels.jsonl").read_text().splitlines(keepends=True)
    for kept in (2, 7):  # both modes follow, or one
        (tmp_path / "kernels.jsonl").write_text("".join(lines[:kept]))
        assert main(["--out", str(tmp_path), "--resume", *QUICK]) == 0
        assert [row["kernel"] for row in stored(tmp_path)[kept:]] == [
            *(["whole"] * 5 if kept == 2 else []),
            *["toy"] * 4,
        ]


def test_a_case_that_failed_as_a_whole_after_some_rows_is_not_measured_again(
    tmp_path, monkeypatch, stand_in_gpu
):
    """Else a fault would end every run at the same place."""
    calls = iter(range(90))  # all of the launches, 86, and a few of the graph

    def milliseconds(call):
        if next(calls, None) is None:
            raise RuntimeError("launch failure")
        return 1.0

    stand_in_gpu.clock.milliseconds = milliseconds
    monkeypatch.setenv("CROSSIQA_COMMIT", "abc")
    assert main(["--out", str(tmp_path), *QUICK]) == 0
    first = stored(tmp_path)
    assert [(row["candidate"], "error" in row) for row in first] == [(OURS, 0), (EAGER, 0), (None, 1)]
    assert main(["--out", str(tmp_path), "--resume", *QUICK]) == 0
    assert stored(tmp_path) == first


@pytest.mark.parametrize(
    ("given", "message"),
    [(["--rounds", "7"], "--rounds is at least 8, not 7"), (["--only", "toys"], "contains 'toys'")],
)
def test_what_would_measure_nothing_is_one_line(tmp_path, capsys, stand_in_gpu, given, message):
    assert main(["--out", str(tmp_path), *QUICK, *given]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not stand_in_gpu.clock.timed
    assert not list(tmp_path.iterdir())


def test_the_table_is_that_of_the_last_run(tmp_path, capsys, stand_in_gpu):
    for _ in range(2):
        assert main(["--out", str(tmp_path), *QUICK]) == 0
    capsys.readouterr()
    assert kernel_table.main([str(tmp_path / "kernels.jsonl")]) == 0
    assert capsys.readouterr().out.count("| toy n 4 |") == 4


@pytest.mark.parametrize("text", [None, "", "{"])
def test_a_table_of_nothing_is_one_line(tmp_path, capsys, text):
    path = tmp_path / "kernels.jsonl"
    if text is not None:
        path.write_text(text)
    assert kernel_table.main([str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"crossiqa: {path}")
    assert len(captured.err.splitlines()) == 1
    assert not captured.out


def test_only_the_cases_that_are_asked_for(tmp_path, monkeypatch, stand_in_gpu):
    other = toy("other", {"size": "tiny"})
    monkeypatch.setattr(kernels, "plan", lambda device, dtype: [stand_in_gpu.planned, other.planned])
    assert main(["--out", str(tmp_path), "--only", "other size", *QUICK]) == 0
    assert {row["kernel"] for row in stored(tmp_path)} == {"other"}


def test_a_missed_goal_is_printed_and_profiled(tmp_path, capsys, monkeypatch, stand_in_gpu):
    frame = toy("frame to score", {"size": "tiny", "height": 1080}, times=(2.0, 5.0))
    monkeypatch.setattr(kernels, "plan", lambda device, dtype: [frame.planned])
    monkeypatch.setattr("crossiqa_edge.bench.kernel_goals._OFF_BY", 0.2)  # the toy is a tenth off
    found = {"profile": [{"name": "kernel", "launches": 1.0, "us": 9.0}], "device_us": 9.0}
    monkeypatch.setattr("crossiqa_edge.bench.kernel_profile.profiled", lambda call, timer: found)
    assert main(["--out", str(tmp_path), *QUICK]) == 0
    printed = capsys.readouterr().out
    assert "missed" in printed
    assert [row["candidate"] for row in stored(tmp_path) if "profile" in row] == [OURS]
    assert "all kernels" in printed


def test_the_experiment_comes_when_all_else_is_written_and_printed(
    tmp_path, capsys, monkeypatch, stand_in_gpu
):
    seen = []

    def make():
        seen.append((len(stored(tmp_path)), "2.50 (2.50 to 2.50)" in capsys.readouterr().out))
        return toy().case

    trial = kernels.Planned("encoder in one launch", {"size": "nano"}, make)
    monkeypatch.setattr(kernels, "experiments", lambda device, dtype: [trial])
    assert main(["--out", str(tmp_path), *QUICK]) == 0
    assert seen == [(4, True)]
    assert len(stored(tmp_path)) == 8


def test_a_device_that_is_gone_is_no_success(tmp_path, monkeypatch, stand_in_gpu):
    def wait():
        raise RuntimeError("CUDA error: unspecified launch failure")

    stand_in_gpu.clock.wait = wait
    trial = kernels.Planned("trial", {}, lambda: pytest.fail("nothing works any more"))
    monkeypatch.setattr(kernels, "experiments", lambda device, dtype: [trial])
    assert main(["--out", str(tmp_path), *QUICK]) == 1
    assert "no longer answers" in stored(tmp_path)[-1]["error"]


def test_what_never_ends_ends_the_process_and_says_so(tmp_path, monkeypatch):
    ended, statuses = Event(), []

    def leave(status):
        statuses.append(status)
        ended.set()

    def hangs():
        assert ended.wait(60)
        raise RuntimeError("a process that has ended does not come here")

    monkeypatch.setattr(kernels, "_PATIENCE", 0.05)
    monkeypatch.setattr(kernels, "watched", partial(watched, leave=leave))
    keeper = kernels.Keeper(tmp_path / "kernels.jsonl", {"run": "r"}, [])
    trial = kernels.Planned("encoder in one launch", {"size": "nano"}, hangs)
    kernels._try([trial], keeper, Clock(), ROOF, Budget(60.0, clock=lambda: 0.0), 8)
    assert statuses == [3]
    row = stored(tmp_path)[0]
    assert (row["kernel"], row["candidate"]) == ("encoder in one launch", PERSISTENT)
    assert row["error"].startswith("no end within")


def test_what_ends_in_time_is_left_alone():
    ended = []
    with watched(0.05, lambda: ended.append("late"), ended.append):
        pass
    with watched(60.0, lambda: ended.append("late"), ended.append):
        assert not ended


def test_a_copy_without_git_is_told_its_commit(monkeypatch):
    monkeypatch.setattr(kernel_facts, "gpu", dict)
    here = kernel_facts.facts()
    for known, named, expected in (("abc", "def", "abc"), (None, "def", "def"), (None, "", None)):
        facts = {**here, "commit": known}
        monkeypatch.setattr(kernel_facts, "facts", lambda facts=facts: facts)
        monkeypatch.setenv("CROSSIQA_COMMIT", named)
        assert run_facts()["commit"] == expected


def test_the_help_tells_of_the_commit(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "CROSSIQA_COMMIT" in capsys.readouterr().out


@pytest.mark.parametrize("version", ["580.159.04", b"580.159.04"])
def test_the_driver_is_what_its_library_says(monkeypatch, version):
    class Library:
        @staticmethod
        def nvmlSystemGetDriverVersion():  # noqa: N802
            return version

    monkeypatch.setattr(kernel_facts, "first_card", lambda: (Library, None))
    assert driver(()) == "580.159.04"


def test_without_the_library_nvidia_smi_tells_the_driver(monkeypatch):
    monkeypatch.setattr(kernel_facts, "first_card", lambda: None)
    assert driver(["NVIDIA H100 80GB HBM3, 81559 MiB, 580.159.04, 9.0"]) == "580.159.04"
    assert driver(["something else"]) is None
    assert driver(()) is None


def test_tables_hold_every_row():
    case, late = toy(), toy("late")
    rows = [
        *rows_of(case.planned, clock=case.clock),
        *rows_of(late.planned, clock=late.clock, budget=Budget(-1.0, clock=lambda: 0.0)),
    ]
    where = {"device": "Toy 1", "architecture": "sm_90", "cuda": "13.0", "commit": "abc"}
    rows = [{**where, **row} for row in rows]
    text, markdown = as_text(rows), as_markdown(rows)
    assert len(text.splitlines()) == 1 + len(rows)
    assert markdown.startswith("Measured on Toy 1 (sm_90), CUDA 13.0, commit abc.")
    assert (
        "| toy n 4 | eager | launches | 5000.0 | 5000.0 | 0 % | 2.50 (2.50 to 2.50) | 0.0e+00 |" in markdown
    )
    assert LEFT_OUT in markdown
    timings, goals = markdown.split("\n\n")[1:]
    assert np.all([line.count("|") == len(HEADER) + 1 for line in timings.splitlines()])
    assert goals.startswith("| goal |")
