"""The two other forms of ``stream``: results into a callback, and results for ``async for``."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.video.frames import FrameSource
from crossiqa_edge.video.pipeline import Stream, StreamEnd, stream
from crossiqa_edge.video.policy import Policy
from crossiqa_edge.video.results import FrameScore, GapEvent


class Background:
    """A stream whose results go to a callback, in a thread of its own. Made by ``stream_to``."""

    def __init__(self, running: Stream, callback: Callable[[FrameScore | GapEvent], object]) -> None:
        self._running = running
        self._callback = callback
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="crossiqa-score", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Read no further; what has been read still comes to the callback."""
        self._running.stop()

    def wait(self, seconds: float | None = None) -> StreamEnd | None:
        """Wait for the end; None if it has not come in time. Raises what the callback or backend raised."""
        self._thread.join(seconds)
        if self._error is not None:
            raise self._error
        return self._running.end

    def _run(self) -> None:
        try:
            with self._running:
                for event in self._running:
                    self._callback(event)
        except BaseException as error:  # handed over to whoever waits
            self._error = error


def stream_to(
    callback: Callable[[FrameScore | GapEvent], object],
    scorer: Scorer,
    source: str | os.PathLike[str] | FrameSource,
    policy: Policy | None = None,
) -> Background:
    """Start to score ``source`` in the background; arguments and errors as in ``stream``.

    ``callback`` is called with each result in order, from one other thread. An exception in it ends the
    stream and is raised by ``Background.wait``.
    """
    return Background(stream(scorer, source, policy), callback)


async def stream_async(
    scorer: Scorer, source: str | os.PathLike[str] | FrameSource, policy: Policy | None = None
) -> AsyncIterator[FrameScore | GapEvent]:
    """``stream`` for ``async for``: opening and scoring run in a thread, the event loop stays free.

    A loop that is left early closes the stream when the generator is closed (``aclosing``).
    """
    import asyncio

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "crossiqa-score") as thread:
        running = await loop.run_in_executor(thread, stream, scorer, source, policy)
        try:
            while (event := await loop.run_in_executor(thread, next, running, None)) is not None:
                yield event
        finally:
            running.close()
