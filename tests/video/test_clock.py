from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from crossiqa_edge.video.clock import Clock


def clock(origin, fps=25):
    return Clock(origin, fps, loses=True)


def placed(clock, *stamps):
    return [clock.place(stamp, None)[0] for stamp in stamps]


def test_counts_from_the_declared_beginning_or_else_from_the_first_frame():
    assert placed(clock(10.0), 10.04, 10.08) == pytest.approx([0.04, 0.08])
    assert placed(clock(None), 10.04, 10.08) == pytest.approx([0.0, 0.04])


def test_variable_rate_is_kept_as_it_is():
    assert placed(clock(0.0), 0.0, 0.01, 0.5, 0.51) == pytest.approx([0.0, 0.01, 0.5, 0.51])


def test_missing_stamps_follow_at_the_frame_rate():
    assert placed(clock(0.0, 50), 0.0, None, None, 0.06) == pytest.approx([0.0, 0.02, 0.04, 0.06])
    assert placed(clock(None, 50), None, None) == pytest.approx([0.0, 0.02])
    assert placed(clock(None, 50), None, 7.0, 7.02) == pytest.approx([0.0, 0.02, 0.04])


def test_a_missing_stamp_respects_how_long_the_frame_before_it_stays():
    one = clock(0.0)
    one.place(0.0, 0.5)
    assert one.place(None, None)[0] == pytest.approx(0.5)


def test_small_disorder_does_not_move_what_follows():
    assert placed(clock(0.0), 0.0, 0.04, 0.04, 0.08) == pytest.approx([0.0, 0.04, 0.041, 0.08])


def test_a_large_step_back_continues_the_timeline():
    assert placed(clock(0.0), 100.0, 100.04, 3.0, 3.04) == pytest.approx([100.0, 100.04, 100.08, 100.12])


def test_a_step_forward_is_a_loss_unless_the_frame_was_meant_to_stay():
    one = clock(0.0)
    one.place(0.0, 0.04)
    assert one.place(5.0, 0.04) == (5.0, pytest.approx(4.96))
    assert one.place(5.04, 3.0) == (pytest.approx(5.04), 0.0)
    assert one.place(8.04, 0.04) == (pytest.approx(8.04), 0.0)


def test_near_damage_every_missing_frame_is_a_loss():
    one = clock(0.0)
    one.place(0.0, 0.04)
    assert one.place(0.12, 0.04) == (0.12, 0.0)
    assert one.place(0.24, 0.04, near_damage=True) == (0.24, pytest.approx(0.08))


def test_a_step_forward_in_an_indexed_file_is_meant():
    one = Clock(0.0, 25, loses=False)
    one.place(0.0, 0.04)
    assert one.place(5.0, 0.04) == (5.0, 0.0)


def test_a_reopened_source_goes_on_after_the_time_it_missed():
    one = clock(None)
    one.place(500.0, None)
    one.resume(2.0)
    assert one.place(3.0, None) == (pytest.approx(2.04), 0.0)
    assert one.place(3.04, None)[0] == pytest.approx(2.08)


@given(some.lists(some.none() | some.floats(-1e5, 1e5), max_size=50), some.sampled_from([None, 5.0]))
def test_time_always_advances(stamps, origin):
    times = placed(Clock(origin, 30, loses=True), *stamps)
    assert all(later > earlier for earlier, later in pairwise(times))
