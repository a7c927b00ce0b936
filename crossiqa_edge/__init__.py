"""CrossIQA Edge: no-reference image and video quality scores, in real time, at the edge.

    from crossiqa_edge import Scorer
    print(Scorer.load("nano").score("photo.jpg").value)

Names are imported when first used, so that ``import crossiqa_edge`` itself costs next to nothing.
"""

from __future__ import annotations

import os
import sys
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

# onnxruntime and OpenVINO report their use to their makers, the one by default since it came to Linux, the
# other wherever `openvino-telemetry` is installed, and both look once, when they are imported. Whoever scores
# a picture has not agreed to that. What was set or imported before is left as it is.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # as if it were not installed

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
