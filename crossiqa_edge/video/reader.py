"""``Reader``: the thread that turns a source into prepared frames, as the policy chooses them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import perf_counter, sleep

from crossiqa_edge.errors import CrossIQAError
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.video.frames import COMPLETE, FAILED, FrameSource, SourceEnd, VideoFrame
from crossiqa_edge.video.policy import Chooser, Policy
from crossiqa_edge.video.prepare import Prepared, Preparer
from crossiqa_edge.video.redact import redact
from crossiqa_edge.video.results import GapEvent
from crossiqa_edge.video.ring import Ring
from crossiqa_edge.video.tempo import Tempo

_LIVE_CAPACITY = 64  # one frame, and gaps
_NAP = 0.1  # seconds of sleep between looks at whether to stop


class Reader:
    """Reads a source to its end in a thread of its own.

    Attributes:
        ring: where prepared frames and gaps come out.
        read: frames that came, of the part that is to be scored.
        chosen: those of them that the policy wants scored, if there is time.
        end: how the source ended; set before the ring is finished.
    """

    def __init__(self, source: FrameSource, scorer: Scorer, policy: Policy, tempo: Tempo) -> None:
        self.ring: Ring[Prepared | GapEvent] = Ring(_LIVE_CAPACITY if policy.live else 2 * policy.batch)
        self.read = 0
        self.chosen = 0
        self.end: SourceEnd | None = None
        self._source = source
        self._preparer = Preparer(scorer)
        self._chooser = Chooser(policy)
        self._live = policy.live
        self._tempo = tempo
        self._stopping = False
        self._part_read: SourceEnd | None = None
        self._began: float | None = None  # when the source's time was 0, for sources without a pace
        self._thread = threading.Thread(target=self._run, name="crossiqa-read", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read no further. Sets flags only, so a signal handler may call it."""
        self._stopping = True
        self._source.close()

    def join(self, seconds: float) -> None:
        """Wait for the thread; one that is stuck in a network read is left to its timeout."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            items = iter(self._source)
            try:
                self._pass_on(items)
            finally:
                self._source.close()
                for _ in items:  # a closed source comes to its end by itself, and tidies up
                    pass
            self.end = self._part_read or self._source.end
        except CrossIQAError as error:
            self.end = SourceEnd(FAILED, redact(str(error)))
        except Exception as error:  # whatever broke: what was read is scored, and the end says why
            self.end = SourceEnd(FAILED, redact(f"{type(error).__name__}: {error}"))
        finally:
            self.ring.finish()

    def _pass_on(self, items: Iterator[VideoFrame | GapEvent]) -> None:
        for item in items:
            pts = item.start_pts if isinstance(item, GapEvent) else item.pts
            if self._chooser.past_end(pts):
                self._part_read = SourceEnd(COMPLETE, f"all frames before {pts:.3f} s read")
                return
            if isinstance(item, GapEvent):
                if not self._chooser.lost_before_start(pts, item.seconds):
                    self.ring.put(item)
            elif not self._chooser.before_start(pts):
                self._offer(item)

    def _offer(self, frame: VideoFrame) -> None:
        self.read += 1
        if not self._chooser.wants(frame.pts):
            return
        turn, self.chosen = self.chosen, self.chosen + 1
        if not self._live:
            self.ring.put(self._preparer.prepare(frame, turn, perf_counter()))
            return
        self._keep_pace(frame.pts)
        arrived = perf_counter()
        if self._tempo.keeps(arrived):
            self.ring.supersede(self._preparer.prepare(frame, turn, arrived), Prepared)

    def _keep_pace(self, pts: float) -> None:
        """Let a source without a pace of its own, such as a file, come as if it were live."""
        if self._source.facts.live:
            return
        if self._began is None:
            self._began = perf_counter() - pts
        while (early := self._began + pts - perf_counter()) > 0 and not self._stopping:
            sleep(min(early, _NAP))
