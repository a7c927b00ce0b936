import itertools

import numpy as np
import pytest

from crossiqa_edge.bench.point import Point
from crossiqa_edge.bench.tune import Budget, solve
from crossiqa_edge.errors import ConfigError


class Machine:
    """Points whose latencies are known, on a clock of their own."""

    def __init__(self):
        self.now = 0.0
        self.spent = {}
        self.calls, self.accuracies = {}, {}

    def clock(self):
        return self.now

    def add(self, model, mean, srcc, *, batch=1, tail=None):
        """A point that takes ``mean`` ms, and every fiftieth time ``tail`` ms."""
        point = Point(model, "b", batch=batch)
        supply = itertools.cycle([mean] * 49 + [tail or mean])
        self.spent[model] = 0.0

        def call():
            step = next(supply)
            self.now += step / 1e3
            self.spent[model] += step

        self.calls[point], self.accuracies[point] = call, srcc

    def solve(self, **budget):
        return solve(self.calls, self.accuracies, Budget(**budget), clock=self.clock)


@pytest.fixture
def machine():
    return Machine()


def test_the_most_accurate_point_within_the_budget_wins(machine):
    for model, mean, srcc in (("fast", 2, 0.5), ("middle", 6, 0.7), ("slow", 40, 0.9)):
        machine.add(model, mean, srcc)
    solution = machine.solve(max_latency_ms=8)
    assert solution.chosen.point.model == "middle"
    assert solution.chosen.verdict == "chosen"
    verdicts = {trial.point.model: trial.verdict for trial in solution.trials}
    assert verdicts["slow"] == "certainly too slow"


def test_the_tail_decides_not_the_middle(machine):
    machine.add("steady", 7, 0.6)
    machine.add("stalling", 4, 0.9, tail=50)
    assert machine.solve(max_latency_ms=8, percentile=99).chosen.point.model == "steady"


def test_of_equally_accurate_points_the_fastest(machine):
    machine.add("a", 6, 0.7)
    machine.add("b", 5, 0.7)
    assert machine.solve(max_latency_ms=8).chosen.point.model == "b"


def test_a_least_accuracy_is_kept(machine):
    machine.add("fast", 2, 0.5)
    machine.add("unknown", 2, None)
    solution = machine.solve(max_latency_ms=8, min_srcc=0.6)
    assert solution.chosen is None
    assert {trial.verdict for trial in solution.trials} == {"SRCC below 0.6"}
    assert machine.now == 0.0  # nothing was timed


def test_a_batch_must_fill_first(machine):
    machine.add("one", 9, 0.5)
    machine.add("eight", 12, 0.9, batch=8)
    assert machine.solve(max_latency_ms=20).chosen.point.model == "eight"
    assert machine.solve(max_latency_ms=20, fps=30).chosen.point.model == "one"


def test_pictures_must_not_arrive_faster_than_they_are_scored(machine):
    machine.add("only", 20, 0.5)
    solution = machine.solve(max_latency_ms=30, fps=60)
    assert solution.chosen is None
    assert solution.trials[0].verdict == "50.0 pictures/s, 60 arrive"


def test_a_point_that_is_too_slow_is_told_by_how_much(machine):
    machine.add("only", 20, 0.5)
    solution = machine.solve(max_latency_ms=19)
    assert solution.chosen is None
    assert solution.trials[0].verdict == "certainly too slow"


def test_losers_cost_little(machine):
    """Halving: most of the time goes to the points that may win."""
    for i, model in enumerate("abcdefgh"):
        machine.add(model, 5, 0.5 + i / 100)
    machine.solve(max_latency_ms=8)
    assert machine.spent["h"] > 5 * machine.spent["a"]


def test_an_unsure_choice_says_so(machine):
    machine.add("wavering", 5, 0.5)
    noise = np.random.default_rng(0)
    point = next(iter(machine.calls))

    def call():
        machine.now += 7.5e-3 + 4e-4 * noise.standard_normal()

    machine.calls[point] = call
    chosen = machine.solve(max_latency_ms=8.4, percentile=99).chosen
    assert "more --seconds" in chosen.verdict


def test_what_was_pushed_out_comes_back_where_the_winner_fails(machine):
    """A point that slows down after the first heat leaves the budget to those that it had pushed out."""
    machine.add("tiring", 7, 0.9)
    machine.add("steady", 2, 0.5)
    machine.add("hopeless", 50, 0.9)
    tiring, count = next(iter(machine.calls)), itertools.count()

    def call():
        machine.now += (7 if next(count) < 200 else 9) / 1e3

    machine.calls[tiring] = call
    solution = machine.solve(max_latency_ms=8)
    assert solution.chosen.point.model == "steady"
    assert solution.chosen.verdict == "chosen"
    assert {trial.point.model for trial in solution.trials} == {"tiring", "steady", "hopeless"}


def test_nothing_to_choose_from():
    with pytest.raises(ConfigError):
        solve({}, {}, Budget(8))
    with pytest.raises(ConfigError, match="percentile"):
        solve({Point("a", "b"): int}, {Point("a", "b"): 0.5}, Budget(8, percentile=0))
