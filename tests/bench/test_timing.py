"""The timing code on a clock of its own, against candidates whose latency is known."""

import itertools

import numpy as np
import pytest

from crossiqa_edge.bench.timing import Timing, compare, interleave, not_told_apart


class FakeClock:
    """Time that passes only where a candidate lets it."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def candidate(self, milliseconds):
        """A call that takes the next of ``milliseconds``, for ever."""
        supply = itertools.cycle(milliseconds)

        def call():
            self.now += next(supply) / 1e3

        return call


def noisy(generator, mean, spread, size=4000):
    return mean + spread * generator.standard_normal(size)


def test_percentiles_of_a_known_distribution():
    clock = FakeClock()
    known = np.random.default_rng(1).permutation(np.arange(1, 101))  # 1..100 ms, each once
    timing = interleave({"a": clock.candidate(known)}, seconds=40 * known.sum() / 1e3, clock=clock)["a"]
    assert len(timing.calls) >= 3000
    for q in (50, 90, 99):
        assert timing.percentile(q) == pytest.approx(q, abs=1.5)
    assert timing.percentile(100) == pytest.approx(100)


def test_a_rare_stall_is_kept():
    clock = FakeClock()
    timing = interleave({"a": clock.candidate([1.0] * 99 + [500.0])}, seconds=12, clock=clock)["a"]
    assert timing.percentile(100) == pytest.approx(500)
    assert timing.median == pytest.approx(1.0)


def test_warm_up_does_not_count():
    clock = FakeClock()
    cold = itertools.chain([900.0] * 3, itertools.repeat(2.0))

    def call():
        clock.now += next(cold) / 1e3

    timing = interleave({"a": call}, seconds=0.1, warmup=2.0, clock=clock)["a"]
    assert timing.calls.max() == pytest.approx(2.0)


def test_candidates_take_turns():
    clock = FakeClock()
    order = []

    def named(name):
        step = clock.candidate([10.0])

        def call():
            order.append(name)
            step()

        return call

    interleave({"a": named("a"), "b": named("b")}, seconds=0.08, warmup=0.0, rounds=8, clock=clock)
    assert order[2:] == ["a", "b"] * 8  # after one warm-up call each


def test_every_round_has_a_call_however_slow():
    clock = FakeClock()
    timing = interleave({"a": clock.candidate([5000.0])}, seconds=1, rounds=8, clock=clock)["a"]
    assert [len(part) for part in timing.rounds] == [1] * 8


def test_a_slower_candidate_is_found_out_under_drift():
    """Both drift by a factor of two over the run; the second is 5 % slower throughout."""
    clock = FakeClock()
    generator = np.random.default_rng(2)
    speed = itertools.count()

    def drifting(mean):
        def call():
            drift = 1.0 + next(speed) / 4000
            clock.now += drift * (mean + 0.2 * generator.standard_normal()) / 1e3

        return call

    timings = interleave({"a": drifting(10.0), "b": drifting(10.5)}, seconds=20, clock=clock)
    comparison = compare(timings["b"], timings["a"])
    assert comparison.verdict == "slower"
    assert comparison.ratio == pytest.approx(1.05, abs=0.02)
    assert compare(timings["a"], timings["b"]).verdict == "faster"


def test_calls_are_compared_with_those_of_their_own_round():
    """One takes twice as long throughout, but had most of its calls while all was quick."""
    rounds = [(10.0, 1, 9)] * 5 + [(90.0, 9, 1)] * 5
    first = Timing(tuple(np.full(slow, weather) for weather, _, slow in rounds))
    second = Timing(tuple(np.full(quick, weather / 2) for weather, quick, _ in rounds))
    assert first.median < second.median
    assert compare(first, second).ratio == pytest.approx(2.0)


def test_equal_candidates_are_undecided():
    clock = FakeClock()
    generator = np.random.default_rng(3)
    calls = {name: clock.candidate(noisy(generator, 10.0, 1.0)) for name in "ab"}
    timings = interleave(calls, seconds=3, clock=clock)
    assert compare(timings["a"], timings["b"]).verdict == "undecided"


def test_a_difference_below_the_noise_is_undecided():
    """Rounds that differ by 30 % hide one percent."""
    generator = np.random.default_rng(4)
    weather = 1.0 + 0.3 * generator.random((2, 20))
    first, second = (
        Timing(tuple(np.full(5, mean * factor) for factor in row))
        for mean, row in zip((10.0, 10.1), weather, strict=True)
    )
    assert compare(second, first).verdict == "undecided"


def test_neighbours_that_noise_hides_are_named_by_their_time_a_piece():
    clock, generator = FakeClock(), np.random.default_rng(4)
    candidates = {
        "two at once": clock.candidate(noisy(generator, 20.0, 1.0)),  # 10 ms a piece
        "one": clock.candidate(noisy(generator, 10.0, 1.0)),
        "slow": clock.candidate(noisy(generator, 15.0, 1.0)),
    }
    timings = interleave(candidates, seconds=5, clock=clock)
    (pair,) = not_told_apart(timings, {"two at once": 2, "one": 1, "slow": 1})
    assert set(pair) == {"one", "two at once"}


def test_the_interval_knows_that_calls_of_a_round_belong_together():
    """20 rounds of 100 equal calls are 20 facts, not 2000."""
    generator = np.random.default_rng(5)
    levels = 10.0 + generator.standard_normal(20)
    low, high = Timing(tuple(np.full(100, level) for level in levels)).interval()
    assert high - low > 0.3
    assert low < 10.0 < high


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    generator = np.random.default_rng(6)
    hits = 0
    for _ in range(100):
        timing = Timing(tuple(noisy(generator, 10.0, 1.0, 10) for _ in range(20)))
        low, high = timing.interval()
        hits += low <= 10.0 <= high
    assert hits >= 88


def test_timings_of_different_runs_are_not_compared():
    short, long = (Timing(tuple(np.ones(1) for _ in range(n))) for n in (8, 9))
    with pytest.raises(ValueError, match="one run"):
        compare(short, long)


@pytest.mark.parametrize(("candidates", "rounds"), [({}, 20), ({"a": int}, 3)])
def test_too_little_to_go_on(candidates, rounds):
    with pytest.raises(ValueError, match="rounds"):
        interleave(candidates, seconds=1, rounds=rounds)
