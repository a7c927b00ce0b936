import threading
from itertools import pairwise
from time import sleep

import pytest

from crossiqa_edge.video.ring import Ring
from crossiqa_edge.video.tempo import Tempo


def test_a_ring_keeps_order_and_waits_for_room():
    ring = Ring(3)
    put = []

    def produce():
        for item in range(20):
            ring.put(item)
            put.append(item)
        ring.finish()

    producer = threading.Thread(target=produce)
    producer.start()
    sleep(0.1)
    assert len(put) == 3
    taken = []
    while items := ring.take(2):
        taken += items
    producer.join()
    assert taken == list(range(20))


def test_a_finished_ring_gives_out_its_rest():
    ring = Ring(5)
    ring.put(1)
    ring.finish()
    assert ring.take(4) == [1] and ring.take(4) == []


def test_an_impatient_consumer_takes_what_is_there():
    ring = Ring(5)
    ring.put(1)
    assert ring.take(4, lambda: True) == [1]


def test_an_abandoned_ring_holds_up_nobody():
    ring = Ring(1)
    ring.put(1)
    threading.Timer(0.1, ring.abandon).start()
    ring.put(2)  # would wait for ever
    assert ring.take(1) == []


def test_superseding_takes_the_place_of_a_waiting_item_of_its_kind_only():
    ring = Ring(10)
    assert ring.supersede(1, int) is None
    ring.put("gap")
    assert ring.supersede(2, int) == 1
    ring.finish()
    assert ring.take(5) == ["gap", 2]


def kept_of(tempo, interval, service, count):
    """Numbers of the frames that are kept, with frames and scores at a steady pace."""
    kept = []
    for index in range(count):
        if tempo.keeps(index * interval):
            kept.append(index)
            tempo.served(service)
    return kept


@pytest.mark.parametrize(
    ("service", "stride"), [(0.001, 1), (0.033, 1), (0.05, 2), (0.066, 2), (0.1, 3), (0.5, 15)]
)
def test_the_stride_leaves_time_to_score_what_is_kept(service, stride):
    kept = kept_of(Tempo(1.0), 1 / 30, service, 200)
    steady = kept[60 // stride :]
    assert {after - before for before, after in pairwise(steady)} == {stride}


def test_the_stride_follows_a_scorer_that_recovers():
    tempo = Tempo(1.0)
    kept_of(tempo, 1 / 30, 0.2, 60)
    assert tempo.stride > 4
    for _ in range(30):
        tempo.served(0.01)
    assert tempo.stride == 1


def test_a_frame_is_too_late_only_if_a_fresh_one_would_not_be():
    tempo = Tempo(0.1)
    assert not tempo.too_late(0.05)
    tempo.served(0.06)
    assert not tempo.too_late(0.03)
    assert tempo.too_late(0.05)
    slow = Tempo(0.1)
    slow.served(0.2)  # nothing can be in time: late scores are better than none
    assert not slow.too_late(0.5)
