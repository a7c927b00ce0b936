"""The batcher alone: who shares an inference with whom, who is refused, and what a failure does."""

import asyncio
import threading

import pytest

from crossiqa_edge.errors import BackendError, InputError
from crossiqa_edge.score import Score
from crossiqa_edge.serve.batching import Batcher, FullError, StoppingError


class Pictures:
    """A scorer whose pictures are numbers: each is its own score, and ``bad`` ones are none.

    While ``gate`` is closed, an inference lasts.
    """

    def __init__(self):
        self.batches = []
        self.gate = threading.Event()
        self.gate.set()
        self.failing = None

    def score_many(self, pictures, batch):
        assert batch == len(pictures)
        self.batches.append(batch)
        assert self.gate.wait(30)
        if self.failing is not None:
            raise self.failing
        for picture in pictures:
            yield InputError("bad") if picture == b"bad" else Score(float(picture), None, (), "m", "b")


def run(scenario, *, max_batch=3, max_wait=0.5, places=100):
    """``scenario(batcher, pictures)`` in an event loop, with an end to the batcher."""
    pictures = Pictures()

    async def whole():
        batcher = Batcher(pictures, max_batch=max_batch, max_wait=max_wait, places=places)
        batcher.start()
        try:
            return await asyncio.wait_for(scenario(batcher, pictures), 30)
        finally:
            pictures.gate.set()
            await asyncio.wait_for(batcher.close(), 30)

    asyncio.run(whole())
    return pictures


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


def test_whoever_comes_together_shares_an_inference_and_gets_its_own_score():
    async def scenario(batcher, pictures):
        scores = await asyncio.gather(*(batcher.score(str(n).encode()) for n in range(7)))
        assert [score.value for score in scores] == [0, 1, 2, 3, 4, 5, 6]

    assert run(scenario, max_wait=0.05).batches == [3, 3, 1]


def test_a_full_batch_does_not_wait():
    async def scenario(batcher, pictures):
        await asyncio.gather(*(batcher.score(b"1") for _ in range(3)))

    assert run(scenario, max_wait=1000).batches == [3]  # or the scenario would run out of time


def test_the_next_batch_gathers_while_one_is_scored():
    async def scenario(batcher, pictures):
        pictures.gate.clear()
        first = asyncio.create_task(batcher.score(b"1"))
        await until(lambda: pictures.batches)
        others = [asyncio.create_task(batcher.score(b"2")) for _ in range(3)]
        await asyncio.sleep(0.01)
        pictures.gate.set()
        await asyncio.gather(first, *others)

    assert run(scenario, max_wait=0).batches == [1, 3]


def test_a_bad_picture_harms_no_other():
    async def scenario(batcher, pictures):
        good, bad = await asyncio.gather(batcher.score(b"5"), batcher.score(b"bad"), return_exceptions=True)
        assert good.value == 5
        assert isinstance(bad, InputError)
        assert batcher.failure is None

    run(scenario, max_wait=0.01)


@pytest.mark.parametrize(
    "failing", [BackendError("out of memory; close other programs"), ZeroDivisionError()]
)
def test_a_failed_batch_is_told_to_all_in_it_and_is_over_with_the_next(failing):
    async def scenario(batcher, pictures):
        pictures.failing = failing
        outcomes = await asyncio.gather(batcher.score(b"1"), batcher.score(b"2"), return_exceptions=True)
        assert outcomes == [failing] * 2
        assert batcher.failure == (str(failing) or "ZeroDivisionError")
        pictures.failing = None
        assert (await batcher.score(b"3")).value == 3
        assert batcher.failure is None

    run(scenario, max_wait=0.01)


def test_places_are_bounded_and_come_free():
    async def scenario(batcher, pictures):
        with batcher.place():
            with batcher.place():
                assert batcher.taken == 2
                with pytest.raises(FullError, match="all 2 places"), batcher.place():
                    pass
            with batcher.place():
                pass
        assert batcher.taken == 0

    run(scenario, places=2)


def test_closing_scores_what_waits_and_refuses_what_comes():
    async def scenario(batcher, pictures):
        pictures.gate.clear()
        inside = [asyncio.create_task(batcher.score(b"1")) for _ in range(5)]
        await until(lambda: pictures.batches)
        closing = asyncio.create_task(batcher.close())
        await until(lambda: batcher.stopping)
        with pytest.raises(StoppingError), batcher.place():
            pass
        pictures.gate.set()
        await closing
        assert [score.value for score in await asyncio.gather(*inside)] == [1] * 5

    run(scenario, max_wait=1000)


def test_a_caller_that_left_stops_nobody():
    async def scenario(batcher, pictures):
        pictures.gate.clear()
        leaving, staying = (asyncio.create_task(batcher.score(b"1")) for _ in range(2))
        await until(lambda: pictures.batches)
        leaving.cancel()
        pictures.gate.set()
        assert (await staying).value == 1

    run(scenario, max_batch=2)
