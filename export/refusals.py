"""What a plan's model makes vain or impossible: refused once the file to start from is known, before work.

``targets.check`` refuses what target, precision and options say by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.export.graph import OPSET
from crossiqa_edge.export.original import weights_beside
from crossiqa_edge.runtime.devices import RUNTIMES

if TYPE_CHECKING:
    from crossiqa_edge.export.conversion import Plan


def refuse(plan: Plan) -> None:
    """Refuse an option that would change nothing, and a graph that the target's builder does not take.

    Raises:
        ConfigError: with the nearest command that does what was asked for.
    """
    _refuse_attention(plan)
    _refuse_vain_opset(plan)
    _refuse_vain_calibration(plan)


def _refuse_attention(plan: Plan) -> None:
    """TensorRT for RTX 1.7 was seen to fail on every such graph: it has no float32 kernel, and its parser
    takes no ``softmax_precision``, which fp16 and int8 graphs ask for. TensorRT's parser has the same source.
    """
    asked, given = plan.recipe.opset or 0, (plan.source.kind == "onnx" and plan.source.card.opset) or 0
    if plan.target.name not in RUNTIMES or max(asked, given) <= OPSET:
        return
    remedy = f"give a model of opset {OPSET}, or the weights" if given > OPSET else f"use --opset {OPSET}"
    raise ConfigError(
        f"--to {plan.target.name}: it does not take the Attention operator of opset {max(asked, given)} "
        f"(there is no float32 kernel, and in fp16 and int8 no float32 softmax); {remedy}"
    )


def _refuse_vain_opset(plan: Plan) -> None:
    source, asked = plan.source, plan.recipe.opset
    if source.kind != "onnx" or asked in (None, source.card.opset):
        return
    weights = weights_beside(source)
    remedy = f"give the weights ({weights.path})" if weights else "leave it out, or give the weights"
    raise ConfigError(
        f"{source.path}: taken as it is, a graph of opset {source.card.opset}, so --opset {asked} would "
        f"change nothing; {remedy}"
    )


def _refuse_vain_calibration(plan: Plan) -> None:
    recipe, source = plan.recipe, plan.source
    calibrated = recipe.calibration is not None
    if recipe.precision != "int8" and calibrated:
        raise ConfigError(
            f"--calibration and --smoothing choose int8 scales; with --precision {recipe.precision} there "
            "are none: leave them out, or use --precision int8"
        )
    made = source.kind == "onnx" and source.card.precision == recipe.precision == "int8"
    if made and (calibrated or recipe.search_limit is not None):
        raise ConfigError(
            f"{source.path}: int8 already, so --calibration, --smoothing and --search would change nothing; "
            "leave them out, or give the float32 model"
        )
