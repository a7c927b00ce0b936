from rows_for_tests import row

from crossiqa_edge.bench.pareto import front


def names(rows):
    return [item["model"] for item in rows]


def test_only_points_that_nothing_beats_are_kept():
    rows = [row("slow", 40, 0.9), row("fast", 5, 0.5), row("beaten", 20, 0.6), row("middle", 10, 0.7)]
    assert names(front(rows)) == ["fast", "middle", "slow"]


def test_equal_accuracy_keeps_the_faster():
    assert names(front([row("a", 10, 0.7), row("b", 9, 0.7)])) == ["b"]


def test_equal_latency_keeps_the_more_accurate():
    assert names(front([row("a", 10, 0.6), row("b", 10, 0.7), row("c", 10, 0.5)])) == ["b"]


def test_latency_is_counted_by_picture():
    assert names(front([row("one", 10, 0.7), row("eight", 40, 0.7, batch=8)])) == ["eight"]


def test_a_point_without_accuracy_never_wins_by_it():
    assert names(front([row("a", 10, None), row("b", 11, 0.1)])) == ["a", "b"]
    assert names(front([row("a", 10, None), row("b", 9, 0.1)])) == ["b"]
