"""The goals of the kernels: met, missed or not measured; and the profile of what missed one."""

import math
from types import SimpleNamespace

import pytest

from crossiqa_edge.bench.jsonl import append
from crossiqa_edge.bench.kernel_goals import MET, MISSED, NOT_MEASURED, WRONG, verdicts
from crossiqa_edge.bench.kernel_results import LEFT_OUT, complete, current, still_to_do, to_go_on_with
from crossiqa_edge.bench.kernel_table import goals_as_text, profile_cells, profiles_as_text
from crossiqa_edge.errors import InputError

ATTENTION = {"batch": 1, "tokens": 197, "heads": 3, "head_dim": 64}
TUNED = "torch.compile max-autotune"


def row(kernel, shape, candidate="crossiqa", *, mode="graph", **values):
    timed = {"p50_ms": 0.1, "ratio_to_ours": None, "distance": 1e-3, **values}
    return {"kernel": kernel, "shape": shape, "candidate": candidate, "mode": mode, **timed}


def states(rows):
    return {(v.goal.words, v.shape.get("batch")): (v.state, v.measured, v.rival) for v in verdicts(rows)}


@pytest.mark.parametrize(("ratio", "state"), [(1.31, MET), (1.29, MISSED), (0.99, MISSED)])
def test_attention_is_held_against_the_fastest_of_sdpa(ratio, state):
    rows = [
        row("attention", ATTENTION),
        row("attention", ATTENTION, "sdpa math", ratio_to_ours=9.0),
        row("attention", ATTENTION, "sdpa flash", ratio_to_ours=ratio),
        row("attention", ATTENTION, "torch.compile", ratio_to_ours=0.5),  # no backend of SDPA
        row("attention", ATTENTION, "sdpa flash", mode="launches", ratio_to_ours=0.2),
    ]
    found = states(rows)
    assert found["at 197 tokens 1.3 times as fast as the best of SDPA", 1] == (state, ratio, "sdpa flash")
    never = MISSED if ratio < 1 else MET
    assert found["never slower than the best of SDPA", 1] == (never, ratio, "sdpa flash")


@pytest.mark.parametrize(
    ("batch", "ratio", "state"), [(1, 1.3, MET), (1, 1.2, MISSED), (64, 1.2, MET), (64, 1.0, MISSED)]
)
def test_an_encoder_is_held_against_the_tuned_compiler(batch, ratio, state):
    shape = {"size": "tiny", "batch": batch}
    rows = [
        row("encoder", shape),
        row("encoder", shape, TUNED, ratio_to_ours=ratio),
        row("encoder", shape, "eager", ratio_to_ours=0.1),
    ]
    (found,) = [value for (_, size), value in states(rows).items() if size == batch]
    assert found == (state, ratio, TUNED)


def test_a_peer_that_was_left_out_is_no_success():
    shape = {"size": "tiny", "batch": 1}
    left_out = {"kernel": "encoder", "shape": shape, "candidate": TUNED, "error": LEFT_OUT}
    rows = [row("encoder", shape), row("encoder", shape, "eager", ratio_to_ours=3.0), left_out]
    assert states(rows)["at batch 1 1.3 times as fast as compiled timm", 1] == (NOT_MEASURED, None, None)


@pytest.mark.parametrize(
    ("kernel", "shape", "limit"),
    [
        ("frame to score", {"size": "tiny", "height": 1080, "width": 1920}, 0.25),
        ("embed", {"size": "base", "height": 2160, "width": 3840}, 0.02),
    ],
)
def test_milliseconds_are_bounded(kernel, shape, limit):
    for figure, state in ((limit - 0.001, MET), (limit, MISSED)):
        (found,) = [v for v in verdicts([row(kernel, shape, p50_ms=figure)]) if v.kernel == kernel]
        assert (found.state, found.measured) == (state, figure)


def test_other_members_and_frames_have_no_such_bound():
    rows = [
        row("frame to score", {"size": "base", "height": 1080, "width": 1920}),
        row("embed", {"size": "tiny", "height": 1080, "width": 1920}),
        row("encoder", {"size": "tiny", "batch": 8}),
    ]
    assert {verdict.state for verdict in verdicts(rows)} == {NOT_MEASURED}


@pytest.mark.parametrize("distance", [0.5, math.nan])
def test_fast_and_wrong_is_no_success(distance):
    shape = {"size": "tiny", "height": 1080, "width": 1920}
    rows = [row("frame to score", shape, p50_ms=0.1, distance=distance)]
    assert WRONG in {verdict.state for verdict in verdicts(rows)}
    assert MET not in {verdict.state for verdict in verdicts(rows)}


def test_the_table_of_goals_names_each():
    text = goals_as_text([row("encoder", {"size": "tiny", "batch": 1})])
    assert len(text.splitlines()) == 7
    assert text.count(NOT_MEASURED) == 6
    assert "encoder size tiny batch 1" in text


def test_a_case_that_was_measured_again_counts_once():
    shape = {"size": "tiny", "batch": 1}
    first = [row("encoder", shape, made="1"), row("encoder", shape, TUNED, made="1")]
    profile = {"kernel": "encoder", "shape": shape, "candidate": "crossiqa", "profile": [], "made": "1"}
    again = [row("encoder", shape, made="2")]
    other = [row("encoder", {"size": "nano", "batch": 1}, made="1")]
    assert current([*first, profile, *other, *again]) == [*again, profile, *other]


def test_what_was_left_out_is_still_to_do_and_a_failure_is_done():
    def case(name, error, made="1"):
        return {"kernel": name, "shape": {}, "candidate": None, "error": error, "made": made}

    rows = [case("a", LEFT_OUT), case("b", "no memory"), case("c", LEFT_OUT), case("c", "no memory", "2")]
    assert complete(rows) == {"b", "c"}
    assert still_to_do(["a", "b", "c", "d a"], rows, None) == [True, False, False, True]
    assert still_to_do(["a", "b", "c", "d a"], rows, "a") == [True, False, False, True]
    assert still_to_do(["a", "b", "c", "d a"], rows, "d") == [False, False, False, True]


FACTS = {"device": "H100", "driver": "580", "cuda": "13.0", "commit": "abc", "libraries": {"torch": "2"}}


def test_a_run_goes_on_with_the_last_one(tmp_path):
    path = tmp_path / "kernels.jsonl"
    append(path, {**FACTS, "run": "older"}, {**FACTS, "run": "last"})
    assert to_go_on_with(path, FACTS) == [{**FACTS, "run": "last"}]


@pytest.mark.parametrize("name", FACTS)
def test_a_run_goes_on_with_none_that_differs(tmp_path, name):
    path = tmp_path / "kernels.jsonl"
    append(path, {**FACTS, "run": "last"})
    with pytest.raises(InputError, match=f"another {name}"):
        to_go_on_with(path, {**FACTS, name: "other"})


def test_a_run_goes_on_with_none_that_it_does_not_know(tmp_path):
    path = tmp_path / "kernels.jsonl"
    with pytest.raises(InputError):
        to_go_on_with(path, FACTS)
    path.write_text("")
    with pytest.raises(InputError, match="no run to go on with"):
        to_go_on_with(path, FACTS)
    append(path, {**FACTS, "commit": None, "run": "last"})
    with pytest.raises(InputError, match="CROSSIQA_COMMIT"):
        to_go_on_with(path, {**FACTS, "commit": None})


def event(name, us, count=5, device="CUDA"):
    torch = pytest.importorskip("torch")
    kind = getattr(torch.autograd.DeviceType, device)
    return SimpleNamespace(key=name, count=count, self_device_time_total=us, device_type=kind)


def test_a_profile_is_the_device_time_of_each_kernel_by_the_call():
    pytest.importorskip("triton", reason="the kernels need Triton")
    from crossiqa_edge.bench.kernel_profile import device_times

    events = [
        event("short", 5.0),
        event("cudaLaunchKernel", 100.0, device="CPU"),
        event("long", 50.0, count=60),
        event("never", 0.0),
    ]
    assert device_times(events, 5) == [
        {"name": "long", "launches": 12.0, "us": 10.0},
        {"name": "short", "launches": 1.0, "us": 1.0},
    ]


def test_a_profile_is_shown_with_its_sum_or_with_what_it_lacks():
    named = {"kernel": "embed", "shape": {"size": "tiny"}, "candidate": "crossiqa"}
    kernels = [{"name": f"kernel {i}", "launches": 1.0, "us": 2.0} for i in range(20)]
    lines = profile_cells({**named, "profile": kernels, "device_us": 40.0})
    assert len(lines) == 9
    assert lines[-1][2:] == ("all kernels", "", "40.0")
    assert "no kernel" in profiles_as_text([{**named, "profile": [], "device_us": 0}])
    assert "not permitted" in profiles_as_text([{**named, "profile": [], "error": "not permitted"}])


@pytest.fixture
def missed(monkeypatch):
    """A frame that takes too long, the clock of it, and what is profiled."""
    pytest.importorskip("triton", reason="the kernels need Triton")
    from kernel_stand_ins import rows_of, toy

    from crossiqa_edge.bench import kernel_profile

    case = toy("frame to score", {"size": "tiny"})
    rows = [{**found, "distance": 0.0} for found in rows_of(case.planned, clock=case.clock)]
    seen = []
    figures = {"profile": [{"name": "k", "launches": 1.0, "us": 1.0}], "device_us": 1.0}
    monkeypatch.setattr(kernel_profile, "profiled", lambda call, timer: seen.append(call) or figures)
    return SimpleNamespace(case=case, rows=rows, seen=seen, profile=kernel_profile.profile_missed)


def test_what_misses_a_goal_is_profiled_once(missed):
    from crossiqa_edge.bench.kernel_run import Budget

    planned, budget = [missed.case.planned], Budget(60.0, clock=lambda: 0.0)
    found = list(missed.profile(planned, missed.rows, missed.case.clock, budget))
    assert [(row["candidate"], row["device_us"]) for row in found] == [("crossiqa", 1.0)]
    assert missed.seen == [missed.case.ours]
    assert not list(missed.profile(planned, [*missed.rows, *found], missed.case.clock, budget))


def test_a_profiler_that_fails_is_a_row(missed, monkeypatch):
    from crossiqa_edge.bench import kernel_profile
    from crossiqa_edge.bench.kernel_run import Budget

    def forbidden(call, timer):
        raise RuntimeError("CUPTI_ERROR_INSUFFICIENT_PRIVILEGES")

    monkeypatch.setattr(kernel_profile, "profiled", forbidden)
    (row,) = missed.profile([missed.case.planned], missed.rows, missed.case.clock, Budget(60.0, lambda: 0.0))
    assert "INSUFFICIENT" in row["error"]
    assert row["profile"] == []


def test_what_meets_its_goal_is_not_profiled(missed):
    from crossiqa_edge.bench.kernel_run import Budget

    fast = [{**row, "p50_ms": 0.1} for row in missed.rows]
    budget = Budget(60.0, clock=lambda: 0.0)
    assert not list(missed.profile([missed.case.planned], fast, missed.case.clock, budget))


def test_the_profiler_has_the_members_that_are_read(monkeypatch):
    """On this machine's processor: without a GPU there is no kernel to see, and no activity by that name."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("triton", reason="the kernels need Triton")
    from kernel_stand_ins import Clock

    from crossiqa_edge.bench import kernel_profile

    monkeypatch.setattr(
        kernel_profile, "ProfilerActivity", SimpleNamespace(CUDA=torch.profiler.ProfilerActivity.CPU)
    )
    calls = []
    found = kernel_profile.profiled(lambda: calls.append(torch.ones(4) + 1), Clock())
    assert found == {"profile": [], "device_us": 0}
    assert len(calls) == 5
