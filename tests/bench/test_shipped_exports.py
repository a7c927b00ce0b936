"""Every shipped model in every format and precision that this machine can make, by the documented command."""

import json

import pytest
from click.testing import CliRunner

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("openvino", reason="needs the openvino extra")

from crossiqa_edge import weights
from crossiqa_edge.bench.export_table import main
from crossiqa_edge.export.targets import TARGETS
from crossiqa_edge.runtime import devices
from crossiqa_edge.runtime.artefact import Artefact

MODELS = [name for name in weights.available() if Artefact.open(weights.find(name)).card.precision == "fp32"]


@pytest.mark.parametrize("name", MODELS)
def test_all_are_made_and_accepted_but_for_what_is_not_here(name):
    ran = CliRunner().invoke(main, ["--model", name, "--seconds", "0.05"], catch_exceptions=False)
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    made = {(row["target"], row["precision"]): row for row in rows}
    assert set(made) == {(target.name, single) for target in TARGETS.values() for single in target.precisions}
    for (target, precision), row in made.items():
        if target == "tensorrt" and devices.device() is None:
            assert row["bytes"] is None
            assert "TensorRT" in row["remark"] or "tensorrt" in row["remark"]
        elif target == "tensorrt-rtx" and devices.device() is None:
            assert row["bytes"] > 0, "built ahead of time"
            assert "GPU" in row["remark"]
        else:
            assert row["acceptance"]["srcc"] >= 0.995, (target, precision)
    single = made["onnx", "fp32"]["bytes"]
    assert made["onnx", "int8"]["bytes"] <= 0.3 * single
    assert made["openvino", "int8"]["bytes"] <= 0.3 * single
    assert made["triton-server", "int8"]["bytes"] <= 0.3 * made["triton-server", "fp32"]["bytes"]
    assert made["tensorrt-rtx", "int8"]["bytes"] <= 0.3 * made["tensorrt-rtx", "fp32"]["bytes"]
