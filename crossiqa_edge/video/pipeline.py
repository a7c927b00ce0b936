"""``stream``: a source of video in, a score for each frame out, in order, in bounded memory.

Two threads. One reads: decode, choose by the policy, flag, sample (``Reader``). The other is the caller's
own, which takes what was prepared, a batch at a time, and scores it. Between them lies a ring with a few
frames' views. In every-frame mode a full ring makes the reader wait; in live mode the newest frame takes
the place of the one that waits, and the next result says how many were dropped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType

import numpy as np

from crossiqa_edge.errors import BackendError, InputError
from crossiqa_edge.imaging.sampling import MIN_SIDE
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.score import Score
from crossiqa_edge.video.frames import FAILED, SOUND_ENDS, STOPPED, FrameSource, SourceEnd, SourceFacts
from crossiqa_edge.video.policy import Policy
from crossiqa_edge.video.prepare import Prepared, result_of
from crossiqa_edge.video.reader import Reader
from crossiqa_edge.video.results import FrameScore, GapEvent
from crossiqa_edge.video.source import open_source
from crossiqa_edge.video.tempo import Tempo

_PATIENCE = 1.0  # seconds after `stop` until a reader that is stuck in the network is waited for no more


@dataclass(frozen=True, slots=True)
class StreamEnd(SourceEnd):
    """How a stream ended, and what became of its frames: read = scored + flagged + dropped + skipped.

    Attributes:
        read: frames of the part that was to be scored.
        scored, flagged: those that came out, with a score and without.
        dropped: those that live mode passed over for want of time, or that an early end left unscored.
        skipped: those that stride and fps left out.
    """

    read: int
    scored: int
    flagged: int
    dropped: int
    skipped: int

    @property
    def sound(self) -> bool:
        """Whether nothing went wrong."""
        return self.status in SOUND_ENDS


def stream(
    scorer: Scorer, source: str | os.PathLike[str] | FrameSource, policy: Policy | None = None
) -> Stream:
    """Score a video as it comes.

    Args:
        scorer: an open model.
        source: what ``crossiqa_edge.video.address.address_of`` understands, or an opened source.
        policy: which frames; every frame by default.

    Raises:
        InputError: the source cannot be opened, or its frames are too small.
    """
    policy = policy or Policy()
    if isinstance(source, str | os.PathLike):
        source = open_source(source, start=policy.start)
    return Stream(scorer, source, policy)


class Stream(Iterator[FrameScore | GapEvent]):
    """Results of one source, in order. Iterate once, in one thread; close it, or use ``with``.

    Trouble with the source does not raise: what came before is scored, then the iteration ends and
    ``end`` says why. Trouble with the backend does raise.

    Attributes:
        facts: what is known of the source.
        end: how it ended; None while it has not.
    """

    def __init__(self, scorer: Scorer, source: FrameSource, policy: Policy) -> None:
        """Nothing is read before the first result is asked for.

        Raises:
            InputError: the source's frames are too small.
        """
        self.facts: SourceFacts = source.facts
        self.end: StreamEnd | None = None
        if min(self.facts.width, self.facts.height) < MIN_SIDE:
            source.close()
            raise InputError(
                f"{self.facts.name}: frames of {self.facts.width} x {self.facts.height} pixels are too small "
                f"to judge; give at least {MIN_SIDE} x {MIN_SIDE}"
            )
        self._scorer = scorer
        self._policy = policy
        self._tempo = Tempo(policy.max_latency_ms / 1e3)
        self._reader = Reader(source, scorer, policy, self._tempo)
        self._stopped: float | None = None  # when
        self._took: float | None = None  # when the last frames were taken from the ring
        self._turn, self._shot = -1, 0  # of the last result
        self._scored = self._flagged = 0
        self._closed = False
        self._results = self._run()

    def stop(self) -> None:
        """Read no further; what has been read is scored and comes out, then the iteration ends.

        May be called from any thread and from a signal handler.
        """
        self._stopped = self._stopped or perf_counter()
        self._reader.stop()

    def close(self) -> None:
        """End at once; what has been read and not come out is dropped. May be called twice."""
        self._closed = True
        self._reader.ring.abandon()
        self.stop()
        self._reader.join(_PATIENCE)
        self._finish(SourceEnd(STOPPED, "closed"))

    def __next__(self) -> FrameScore | GapEvent:
        if self._closed:
            raise StopIteration
        return next(self._results)

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> Iterator[FrameScore | GapEvent]:
        self._reader.start()
        try:
            while group := self._group():
                yield from self._scores(group)
        except BackendError as error:
            self._finish(SourceEnd(FAILED, str(error)))
            raise
        else:
            self._finish(SourceEnd(STOPPED, "stopped") if self._stopped else None)
        finally:  # also when the caller throws something in
            self.close()

    def _group(self) -> list[Prepared | GapEvent]:
        """What is scored next: a batch, or in live mode one frame that is still in time; empty at the end."""
        if not self._policy.live:
            return self._reader.ring.take(self._policy.batch, self._impatient)
        if self._took is not None:
            self._tempo.served(perf_counter() - self._took)
        while group := self._reader.ring.take(1, self._impatient):
            self._took = perf_counter()
            late = isinstance(group[0], Prepared) and self._tempo.too_late(self._took - group[0].arrived)
            if not late:
                break
        return group

    def _impatient(self) -> bool:
        return self._stopped is not None and perf_counter() - self._stopped > _PATIENCE

    def _scores(self, group: list[Prepared | GapEvent]) -> Iterator[FrameScore | GapEvent]:
        """The results of a group after one inference, whose time is divided evenly over its frames."""
        views = [item.views for item in group if isinstance(item, Prepared) and item.views is not None]
        started = perf_counter()
        raw = iter(np.split(self._scorer.backend.infer(np.concatenate(views)), len(views)) if views else [])
        share = 1e3 * (perf_counter() - started) / max(len(views), 1)
        for item in group:
            if isinstance(item, GapEvent):
                yield item
            else:
                score = None if item.views is None else self._scorer.pool(next(raw), {})
                yield self._result(item, score, started, share)

    def _result(self, item: Prepared, score: Score | None, started: float, infer_ms: float) -> FrameScore:
        dropped, is_cut = item.turn - self._turn - 1, item.shot != self._shot
        self._turn, self._shot = item.turn, item.shot
        self._scored += score is not None
        self._flagged += score is None
        return result_of(item, score, started, infer_ms, dropped_before=dropped, is_cut=is_cut)

    def _finish(self, end: SourceEnd | None) -> None:
        """Set ``end``, once: to what is given, or else to how the source ended."""
        if self.end is not None:
            return
        end = end or self._reader.end or SourceEnd(STOPPED, "stopped")
        read, chosen = self._reader.read, self._reader.chosen
        self.end = StreamEnd(
            status=end.status,
            reason=end.reason,
            read=read,
            scored=self._scored,
            flagged=self._flagged,
            dropped=chosen - self._scored - self._flagged,
            skipped=read - chosen,
        )
