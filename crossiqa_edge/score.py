"""``Score``: what a picture got, on the scale people know, and how it was obtained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The five-point absolute category rating of Recommendation ITU-R BT.500 (excellent .. bad), laid over
# 0..100 in five equal parts as its continuous-scale variant does.
FIVE_POINT_SCALE: tuple[tuple[float, str], ...] = (
    (80.0, "excellent"),
    (60.0, "good"),
    (40.0, "fair"),
    (20.0, "poor"),
    (0.0, "bad"),
)


def quality_word(value: float) -> str:
    """The word of the ITU five-point scale for a score in 0..100; a cut belongs to the better word.

    Of the score to two decimals, as JSON has it: 59.996 is told as 60.0, and so is good.
    """
    told = round(value, 2)
    return next((word for cut, word in FIVE_POINT_SCALE if told >= cut), "bad")


@dataclass(frozen=True, slots=True)
class Score:
    """One quality score.

    Attributes:
        value: quality, 0 to 100, higher is better.
        interval: (low, high), both within 0..100: of the model's held-out pictures with a score like this
            one, nine of ten had a human score inside an interval of this width; None where the card has no
            such figure.
        raw: the calibrated score of each view, before pooling, in the order of the views.
        model: identity of the model, ``name@first-12-hex-of-sha256``.
        backend: what ran the model, for instance ``onnxruntime cpu fp32``.
        timings: milliseconds by stage (``decode``, ``sample``, ``infer``); no part of equality.
        flags: reasons to doubt the score, any of ``crossiqa_edge.imaging.flags.FLAGS``: the picture is of a
            kind that people were not asked about.
        percentile: share of the card's reference set, 0..100, that the model puts below this score; None
            where the card has no such set.
        reference: name of that set; empty where there is none.
    """

    value: float
    interval: tuple[float, float] | None
    raw: tuple[float, ...]
    model: str
    backend: str
    timings: Mapping[str, float] = field(default_factory=dict, compare=False)
    flags: tuple[str, ...] = ()
    percentile: float | None = None
    reference: str = ""

    @property
    def views(self) -> int:
        """How many views of the picture were scored."""
        return len(self.raw)

    @property
    def word(self) -> str:
        """The score in a word: excellent, good, fair, poor or bad."""
        return quality_word(self.value)

    def to_dict(self) -> dict[str, Any]:
        """The score as JSON-ready values, rounded to what the figures can bear."""
        return {
            "score": round(self.value, 2),
            "quality": self.word,
            "interval": None if self.interval is None else [round(edge, 2) for edge in self.interval],
            "percentile": None if self.percentile is None else round(self.percentile, 1),
            "reference": self.reference or None,
            "flags": list(self.flags),
            "raw": [round(value, 3) for value in self.raw],
            "views": self.views,
            "model": self.model,
            "backend": self.backend,
            "timings_ms": {stage: round(value, 3) for stage, value in self.timings.items()},
        }
