"""From trained weights to artefacts, each verified before it is announced: the library twin of the verbs.

    from crossiqa_edge.export import Recipe, convert, plan

    planned = plan("nano", to="onnx", output="nano-int8.onnx", recipe=Recipe("int8"))
    made = convert(planned, lambda stage, share=None: print(stage))
    print(made.path, made.acceptance)  # ranks and differences against the float32 original

``plan``, which refuses what cannot be, and ``convert`` are ``crossiqa export``; the builder of an engine is
told more by ``options=Options(max_batch=16)``. ``export_onnx`` writes a network that was just trained,
``make_bundle`` is ``crossiqa bundle``, and ``accept`` compares any two runtimes over the degraded views, as
``crossiqa verify`` does:

    from crossiqa_edge import Scorer
    from crossiqa_edge.export import LIMITS, accept

    original, made = Scorer.load("nano", backend="onnxruntime"), Scorer.load("nano-int8.onnx")
    found = accept(made.backend.infer, original.backend.infer, original.card, LIMITS["int8"])
    print(found.passed, found)

Names are imported when first used, so that this package itself needs neither torch nor onnx. Where the
``export`` extra is missing, the first use of a name raises MissingDependencyError.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from crossiqa_edge.errors import MissingDependencyError

if TYPE_CHECKING:
    from crossiqa_edge.export.acceptance import LIMITS, accept
    from crossiqa_edge.export.bundle import make_bundle
    from crossiqa_edge.export.bundle_targets import device_kind
    from crossiqa_edge.export.conversion import Recipe, convert, plan
    from crossiqa_edge.export.onnx import export_onnx
    from crossiqa_edge.export.quantise import Calibration
    from crossiqa_edge.export.targets import TARGETS, Options

_HOMES = {
    "LIMITS": "acceptance",
    "TARGETS": "targets",
    "Calibration": "quantise",
    "Options": "targets",
    "Recipe": "conversion",
    "accept": "acceptance",
    "convert": "conversion",
    "device_kind": "bundle_targets",
    "export_onnx": "onnx",
    "make_bundle": "bundle",
    "plan": "conversion",
}

__all__ = [
    "LIMITS",
    "TARGETS",
    "Calibration",
    "Options",
    "Recipe",
    "accept",
    "convert",
    "device_kind",
    "export_onnx",
    "make_bundle",
    "plan",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        home = import_module(f"{__name__}.{_HOMES[name]}")
    except ImportError as error:
        raise MissingDependencyError("exporting", "export") from error
    return getattr(home, name)


def __dir__() -> list[str]:
    return __all__
