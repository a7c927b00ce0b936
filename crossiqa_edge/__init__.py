"""CrossIQA Edge: no-reference image and video quality scores, in real time, at the edge.

    from crossiqa_edge import Scorer
    print(Scorer.load("nano").score("photo.jpg").value)

Names are imported when first used, so that ``import crossiqa_edge`` itself costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from crossiqa_edge.version import __version__

if TYPE_CHECKING:
    from crossiqa_edge.card import ModelCard
    from crossiqa_edge.errors import CrossIQAError
    from crossiqa_edge.runtime.artefact import Artefact
    from crossiqa_edge.runtime.scorer import Scorer
    from crossiqa_edge.score import Score
    from crossiqa_edge.video.policy import Policy
    from crossiqa_edge.video.results import FrameScore, GapEvent

_HOMES = {
    "Artefact": "crossiqa_edge.runtime.artefact",
    "CrossIQAError": "crossiqa_edge.errors",
    "FrameScore": "crossiqa_edge.video.results",
    "GapEvent": "crossiqa_edge.video.results",
    "ModelCard": "crossiqa_edge.card",
    "Policy": "crossiqa_edge.video.policy",
    "Score": "crossiqa_edge.score",
    "Scorer": "crossiqa_edge.runtime.scorer",
}

__all__ = [
    "Artefact",
    "CrossIQAError",
    "FrameScore",
    "GapEvent",
    "ModelCard",
    "Policy",
    "Score",
    "Scorer",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
