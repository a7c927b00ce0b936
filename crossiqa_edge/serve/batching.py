"""Concurrent requests as batches of one ``Scorer``: whoever comes while a batch is being made joins it.

A batch begins with the first picture that waits, and is scored when it is full or the first has waited for
``max_wait`` seconds. While it is scored, in a thread of its own, the next one gathers. How many requests may
be inside at once is bounded; one more is refused at once, before its picture is read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from crossiqa_edge.errors import BackendError, CrossIQAError
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.score import Score


class FullError(CrossIQAError):
    """All places are taken; there will be one shortly."""


class StoppingError(CrossIQAError):
    """The server is being stopped; there will be no place any more."""


@dataclass(frozen=True)
class _Job:
    picture: bytes
    outcome: asyncio.Future[Score]


class Batcher:
    """Scores pictures for many callers. Use it within one event loop, from ``start`` to ``close``.

    Args:
        scorer: what scores; stays the caller's to close.
        max_batch: most pictures in one inference.
        max_wait: seconds that the first picture of a batch waits for others.
        places: requests that may be inside at once.
        on_batch: told the number of pictures of each batch.

    Attributes:
        failure: what the runtime said when the last batch failed; None while all is well.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        max_batch: int,
        max_wait: float,
        places: int,
        on_batch: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._scorer = scorer
        self._max_batch = max_batch
        self._max_wait = max_wait
        self._places = places
        self._on_batch = on_batch
        self._taken = 0
        self._waiting: deque[_Job] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="crossiqa-serve")
        self._worker: asyncio.Task[None] | None = None
        self._stopping = False
        self.failure: str | None = None

    @property
    def taken(self) -> int:
        """Requests that are inside now."""
        return self._taken

    @property
    def stopping(self) -> bool:
        """Whether ``close`` was called."""
        return self._stopping

    def start(self) -> None:
        """Begin to score what comes."""
        self._worker = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Score what waits, then stop; requests that come meanwhile are refused."""
        self._stopping = True
        self._arrived.set()
        if self._worker is not None:
            await self._worker
        self._thread.shutdown()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Inside, the caller has a place. Take it before the picture is read: it bounds the memory too.

        Raises:
            FullError: none is free.
            StoppingError: ``close`` was called.
        """
        if self._stopping:
            raise StoppingError("the server is being stopped; ask another")
        if self._taken >= self._places:
            raise FullError(f"all {self._places} places are taken; try again shortly")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def score(self, picture: bytes) -> Score:
        """The score of an encoded picture, once its batch is done.

        Raises:
            InputError: it cannot be scored; others in its batch can.
            BackendError: the runtime failed on the batch.
        """
        job = _Job(picture, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._arrived.set()
        return await job.outcome

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while batch := await self._gathered():
            self._on_batch(len(batch))
            pictures = [job.picture for job in batch]
            try:
                outcomes = await loop.run_in_executor(self._thread, self._scored, pictures)
            except (
                Exception
            ) as error:  # whatever it was, callers must hear of it and the next batch be scored
                self.failure = str(error) if isinstance(error, BackendError) else type(error).__name__
                outcomes = [error] * len(batch)
            else:
                self.failure = None
            for job, outcome in zip(batch, outcomes, strict=True):
                _settle(job.outcome, outcome)

    def _scored(self, pictures: Sequence[bytes]) -> list[Score | Exception]:
        return list(self._scorer.score_many(pictures, len(pictures)))

    async def _gathered(self) -> list[_Job]:
        """The next batch; empty once there will be none."""
        while not self._waiting:
            if self._stopping:
                return []
            await self._arrival(None)
        loop = asyncio.get_running_loop()
        end = loop.time() + self._max_wait
        while len(self._waiting) < self._max_batch and not self._stopping and (left := end - loop.time()) > 0:
            await self._arrival(left)
        return [self._waiting.popleft() for _ in range(min(self._max_batch, len(self._waiting)))]

    async def _arrival(self, patience: float | None) -> None:
        """Wait until a picture comes or ``close`` is called, for ``patience`` seconds at most."""
        self._arrived.clear()
        try:
            await asyncio.wait_for(self._arrived.wait(), patience)
        except asyncio.TimeoutError:  # Python 3.10 has a class of its own for it
            return


def _settle(future: asyncio.Future[Score], outcome: Score | Exception) -> None:
    """Hand the outcome over, unless the caller has left."""
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
