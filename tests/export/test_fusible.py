"""The form that is exported: the same scores, and a graph that onnxruntime fuses."""

import copy
from collections import Counter

import pytest

torch = pytest.importorskip("torch", reason="exporting needs the export extra")
onnx = pytest.importorskip("onnx", reason="exporting needs the export extra")

from crossiqa_edge.card import ModelCard  # noqa: E402
from crossiqa_edge.export.fusible import make_fusible  # noqa: E402
from crossiqa_edge.model.quality import QualityModel  # noqa: E402


@pytest.mark.parametrize("embedding", ["multilevel", "linear"])
def test_the_scores_stay(embedding):
    torch.manual_seed(0)
    card = ModelCard("n", "micro", embedding=embedding, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    model = QualityModel(card).eval()
    torch.nn.init.normal_(model.head.weight, std=0.3)
    vars(model.encoder)["dynamic_img_size"] = False
    vars(model.encoder.patch_embed)["flatten"] = True
    views = torch.randint(0, 256, (3, 224, 224, 3), dtype=torch.uint8)
    rewritten = copy.deepcopy(model)
    make_fusible(rewritten)
    with torch.inference_mode():
        expected, given = model(views), rewritten(views)
    assert expected.std() > 1, "scores that are all alike would prove nothing"
    # float32 sums over 12 numbers of up to 255 instead of 2, in another order
    torch.testing.assert_close(given, expected, atol=2e-3, rtol=0)


def test_the_graph_is_fused_and_pixels_are_ordered_as_bytes(micro_export, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    exported = onnx.load(micro_export.onnx).graph
    moved = {name for node in exported.node if node.op_type == "Cast" for name in node.output}
    first_cast = next(index for index, node in enumerate(exported.node) if set(node.output) & moved)
    assert sum(node.op_type == "Transpose" for node in exported.node[:first_cast]) == 2
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(str(micro_export.onnx), options, providers=["CPUExecutionProvider"])
    operators = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert operators["BiasGelu"] > 2
    assert not {"Erf", "Sub", "Div"} & set(operators)
