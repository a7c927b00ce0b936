"""The kernel benchmark's run on a GPU that is a clock: rows, failures, the time, torch.compile."""

import itertools
from functools import partial

import pytest

torch = pytest.importorskip("torch", reason="the kernel benchmark needs the train extra")
pytest.importorskip("triton", reason="the kernel benchmark needs Triton")

from kernel_stand_ins import ROOF, Clock, Hours, rows_of, toy  # noqa: E402

from crossiqa_edge.bench import kernel_peers  # noqa: E402
from crossiqa_edge.bench.kernel_cases import (  # noqa: E402
    Case,
    Planned,
    attention_int8_case,
    int8_case,
)
from crossiqa_edge.bench.kernel_names import COMPILED, EAGER, OURS, TUNED  # noqa: E402
from crossiqa_edge.bench.kernel_peers import compiled, forget_compiled, pair_of_candidates  # noqa: E402
from crossiqa_edge.bench.kernel_results import LEFT_OUT  # noqa: E402
from crossiqa_edge.bench.kernel_run import GONE, Budget, Roof  # noqa: E402


def test_a_row_says_how_long_how_near_the_roof_and_how_far_from_torch():
    case = toy()
    rows = {(row["candidate"], row["mode"]): row for row in rows_of(case.planned, clock=case.clock)}
    assert set(rows) == set(itertools.product([OURS, EAGER], ["launches", "graph"]))
    ours, torchs = rows[OURS, "launches"], rows[EAGER, "launches"]
    assert (ours["p50_ms"], torchs["p50_ms"], ours["calls"]) == (2.0, 5.0, 32)
    assert (torchs["ratio_to_ours"], torchs["ratio_interval"]) == (2.5, [2.5, 2.5])
    assert ours["ratio_to_ours"] is None
    # 2e6 operations take 2 us at this roof, 3e5 bytes take 3 us: memory is the limit, of 2 ms
    assert ours["roof_share"] == pytest.approx(0.0015)
    assert ours["distance"] == pytest.approx(0.1, rel=1e-6)
    assert torchs["distance"] == 0.0


def test_a_candidate_that_fails_is_a_row_and_the_others_go_on():
    def broken():
        raise RuntimeError("no such\nkernel image")

    case = toy(sdpa=lambda: broken)
    rows = rows_of(case.planned, clock=case.clock)
    assert [row["error"] for row in rows if "error" in row] == ["RuntimeError: no such kernel image"]
    assert len(rows) == 5


def test_a_fault_that_shows_late_is_that_of_the_call_that_made_it():
    pending = []
    case = toy(sdpa=lambda: lambda: pending.append("misaligned address") or torch.ones(4))

    def wait():
        if pending:
            raise RuntimeError(pending.pop())

    case.clock.wait = wait
    rows = rows_of(case.planned, clock=case.clock)
    errors = [(row["candidate"], row["error"]) for row in rows if "error" in row]
    assert errors == [("sdpa", "RuntimeError: misaligned address")]
    assert len(rows) == 5


def test_a_candidate_that_no_graph_takes_is_still_timed_by_launches():
    case = toy()
    real = case.clock.record

    def record(call):
        if call is case.ours:
            raise RuntimeError("operation not permitted when stream is capturing")
        return real(call)

    case.clock.record = record
    rows = rows_of(case.planned, clock=case.clock)
    assert [(row["candidate"], row.get("mode")) for row in rows] == [
        (OURS, "launches"),
        (EAGER, "launches"),
        (EAGER, "graph"),
        (OURS, None),
    ]


def test_every_candidate_is_timed_in_both_modes():
    """The compiled encoder as well, so that both sides have graphs or neither has."""
    case = toy(**{TUNED: lambda: lambda: torch.ones(4)})
    rows = rows_of(case.planned, clock=case.clock, budget=Budget(1e4, clock=lambda: 0.0))
    names = {(row["candidate"], row["mode"]) for row in rows}
    assert names == set(itertools.product([OURS, EAGER, TUNED], ["launches", "graph"]))
    assert len(case.clock.recorded) == 3


def test_inputs_that_cannot_be_made_are_a_row_and_the_next_case_is_timed():
    def make():
        raise torch.OutOfMemoryError("CUDA out of memory")

    case = toy()
    rows = rows_of(Planned("large", {"n": 5}, make), case.planned, clock=case.clock)
    assert [row["kernel"] for row in rows] == ["large", *["toy"] * 4]
    assert rows[0]["error"] == "OutOfMemoryError: CUDA out of memory"
    assert rows[0]["candidate"] is None


def test_a_failure_between_two_timings_is_a_row_and_the_next_case_is_timed():
    case, other = toy(), toy("other")
    limit = iter(range(20))

    def milliseconds(call):
        if next(limit, None) == 10:
            raise RuntimeError("launch failure")
        return 1.0

    rows = rows_of(case.planned, other.planned, clock=Clock(milliseconds))
    assert [row["kernel"] for row in rows] == ["toy", *["other"] * 4]


def test_a_device_that_no_longer_answers_ends_the_run():
    case, other = toy(), toy("other")

    def wait():
        if len(case.clock.timed) > 20:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    case.clock.wait = wait
    rows = rows_of(case.planned, other.planned, clock=case.clock)
    assert rows[-1]["error"] == GONE
    assert {row["kernel"] for row in rows} == {"toy"}


def test_what_no_longer_fits_into_the_time_is_a_row_that_says_so():
    case = toy()
    (row,) = rows_of(case.planned, clock=case.clock, budget=Budget(-1.0, clock=lambda: 0.0))
    assert row["error"] == LEFT_OUT
    assert not case.clock.timed


def test_short_of_time_only_torch_compile_gives_way():
    case = toy(**{TUNED: lambda: pytest.fail("there is no time for it")})
    rows = rows_of(case.planned, clock=case.clock, budget=Budget(30.0, clock=lambda: 0.0))
    assert [(row["candidate"], row.get("error")) for row in rows if "error" in row] == [(TUNED, LEFT_OUT)]
    assert {row["candidate"] for row in rows if "mode" in row} == {OURS, EAGER}


def test_compiling_leaves_time_for_the_cases_that_follow():
    budget = Budget(100.0, clock=lambda: 0.0)
    assert budget.affords(TUNED, 0)
    assert not budget.affords(TUNED, 20)
    budget.took(TUNED, 10.0)
    assert budget.affords(TUNED, 20)
    budget.took(TUNED, 70.0)
    budget.took(TUNED, 20.0)
    assert not budget.affords(TUNED, 0)


def test_cases_that_take_longer_than_expected_are_learnt_of():
    """Triton compiles a launcher with each kernel, on a machine that nobody has seen."""
    hours = Hours()
    budget = Budget(100.0, clock=hours)
    with budget.of_a_case():
        hours.now += 12.0
        budget.took(TUNED, 4.0)
    assert budget.affords(TUNED, 10)  # 6 s expected, and 80 s for the others, of 88 that are left
    assert not budget.affords(TUNED, 11)


def test_time_that_is_left_goes_to_what_was_left_out():
    hours = Hours()

    def tune():
        hours.now += 20.0
        return lambda: torch.ones(4)

    first, second = toy("first", **{TUNED: tune}), toy("second", **{TUNED: tune})
    others = [toy(f"other {i}").planned for i in range(30)]
    rows = rows_of(
        *(first.planned, second.planned, *others),
        clock=first.clock,
        budget=Budget(140.0, clock=hours),
    )
    tuned = [(row["kernel"], row.get("error")) for row in rows if row["candidate"] == TUNED]
    # 90 s are expected and 60 kept for the others; once those are done, there is time for both
    assert tuned == [
        ("first", LEFT_OUT),
        ("second", LEFT_OUT),
        *[("first", None)] * 2,
        *[("second", None)] * 2,
    ]
    assert hours.now == 40.0
    made = {row["made"] for row in rows if row["kernel"] == "first"}
    assert len(made) == 2


def test_a_peer_that_torch_compile_leaves_eager_is_an_error(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda call, **options: call)
    call = partial(torch.ones, 4)
    case = toy(**{COMPILED: lambda: compiled(call)})
    rows = rows_of(case.planned, clock=case.clock)
    assert [row["error"] for row in rows if "error" in row] == ["RuntimeError: torch.compile left it eager"]


@pytest.fixture
def quick_compiler(monkeypatch):
    """torch.compile without its code generator, which is not what is looked at."""
    real = torch.compile
    modes = []

    def compile_(call, *, mode=None, **options):
        modes.append(mode)
        return real(call, backend="eager", **options)

    monkeypatch.setattr(torch, "compile", compile_)
    yield modes
    forget_compiled()


def doubled(size):
    x = torch.ones(size)

    def double():
        return 2 * x

    return Case(1.0, 1.0, pair_of_candidates(double, double, True))


def test_a_peer_is_compiled_however_many_shapes_came_before(quick_compiler):
    """torch gives up on a function after eight shapes, and says nothing."""
    planned = [Planned("double", {"n": size}, partial(doubled, size)) for size in range(2, 12)]
    before = kernel_peers._graphs()
    with torch.no_grad():
        rows = rows_of(*planned, clock=Clock(), budget=Budget(1e4, clock=lambda: 0.0))
    peers = [row for row in rows if row["candidate"] == COMPILED]
    assert kernel_peers._graphs() - before == len(planned)
    assert len(peers) == 2 * len(planned)
    assert not [row for row in peers if "error" in row]


def test_the_tuned_compiler_leaves_graphs_to_the_timer(quick_compiler):
    peers = kernel_peers.by_tuned_compiler(lambda: torch.ones(4) + 1, True)
    peers[TUNED]()
    assert quick_compiler == ["max-autotune-no-cudagraphs"]
    assert kernel_peers.by_tuned_compiler(lambda: torch.ones(4), False) == {}


def test_the_roof_of_int8_counts_for_what_is_done_in_int8():
    options = {"device": "cpu", "compiled": False}
    linear = int8_case(6, 32, 16, dtype=torch.float32, **options)
    attention = attention_int8_case(2, 5, 2, 32, dtype=torch.float16, **options)
    roof = Roof(1e3, 1e18, 2e3)
    assert roof.attainable_ms(linear, OURS) == pytest.approx(linear.flops / 2)
    assert roof.attainable_ms(linear, EAGER) == pytest.approx(linear.flops)
    assert roof.attainable_ms(attention, OURS) == pytest.approx(0.75 * attention.flops)
    assert Roof(1e3, 1e18).attainable_ms(linear, OURS) is None
    assert Roof(1e3, 1e18).attainable_ms(linear, EAGER) is not None


def test_a_share_of_a_roof_that_was_not_measured_is_none():
    case = toy()
    planned = Planned("toy", {}, lambda: Case(2e6, 3e5, case.case.candidates, int8=1.0))
    rows = rows_of(planned, clock=case.clock, roof=Roof(ROOF.flops, ROOF.moved))
    assert {row["candidate"]: row["roof_share"] is None for row in rows} == {OURS: True, EAGER: False}
