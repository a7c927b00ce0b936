"""From a frame to what is left to score of it: its flags and its views. Nothing of the frame is kept."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from crossiqa_edge.imaging.flags import is_black, is_flat
from crossiqa_edge.imaging.sampling import Views
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.score import Score
from crossiqa_edge.video.flags import Bars, Cuts, Freeze
from crossiqa_edge.video.frames import VideoFrame
from crossiqa_edge.video.results import FrameScore


@dataclass(frozen=True, slots=True)
class Prepared:
    """A frame that waits for its score.

    Attributes:
        turn: its place among the frames that the policy chose, from 0; a step of more than one between
            two results counts the frames that were dropped.
        shot: how many cuts there were up to here.
        index, pts: as in ``FrameScore``.
        views: uint8 (V, S, S, 3); None where a flag says that there is nothing to score.
        flags: see ``crossiqa_edge.video.results.FLAGS``.
        arrived: ``perf_counter`` when it came out of the decoder.
        ready: ``perf_counter`` when it was prepared.
        decode_ms: what decoding took.
    """

    turn: int
    shot: int
    index: int
    pts: float
    views: Views | None
    flags: tuple[str, ...]
    arrived: float
    ready: float
    decode_ms: float


def result_of(
    item: Prepared,
    score: Score | None,
    started: float,
    infer_ms: float,
    *,
    dropped_before: int = 0,
    is_cut: bool = False,
) -> FrameScore:
    """The result of a frame; ``started`` is when its inference, or that of its batch, began."""
    return FrameScore(
        index=item.index,
        pts=item.pts,
        score=None if score is None else score.value,
        interval=None if score is None else score.interval,
        raw=() if score is None else score.raw,
        flags=item.flags,
        timings_ms={
            "decode": item.decode_ms,
            "sample": 1e3 * (item.ready - item.arrived),
            "wait": 1e3 * (started - item.ready),
            "infer": 0.0 if score is None else infer_ms,
        },
        dropped_before=dropped_before,
        is_cut=is_cut,
    )


class Preparer:
    """Prepares the frames of one stream, in their order: flags depend on the frames before."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._freeze, self._cuts, self._bars = Freeze(), Cuts(), Bars()
        self._shot = 0

    def prepare(self, frame: VideoFrame, turn: int, arrived: float) -> Prepared:
        """Flag and sample ``frame``; letterboxed ones inside their bars.

        Raises:
            InputError: the frame is too small to be judged.
        """
        luma = frame.luma()
        is_cut = self._cuts.begins(luma)
        self._shot += is_cut
        flags: tuple[str, ...] = ()
        views: Views | None = None
        if is_black(luma):
            flags = ("black",)
            self._freeze = Freeze()  # the next frame repeats no picture, for this one shows none
        elif is_flat(luma):
            flags = ("flat",)
            self._freeze = Freeze()
        else:
            box = self._bars.picture(frame, luma, cut=is_cut)
            views = self._sampled(frame if box is None else frame.cut(*box))
            flags = () if box is None else ("letterboxed",)
            if self._freeze.repeats(luma, views):
                flags, views = ("frozen", *flags), None
        return Prepared(
            turn=turn,
            shot=self._shot,
            index=frame.index,
            pts=frame.pts,
            views=views,
            flags=flags,
            arrived=arrived,
            ready=perf_counter(),
            decode_ms=frame.decode_ms,
        )

    def _sampled(self, frame: VideoFrame) -> Views:
        scorer = self._scorer
        return frame.views(scorer.sampling, size=scorer.card.view_size, views=scorer.views)
