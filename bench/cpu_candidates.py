"""What ``cpu_int8`` compares: one network in every CPU runtime, as quantised by us and by their own tools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from crossiqa_edge.card import CARD_KEY
from crossiqa_edge.errors import ArtefactError, BackendError
from crossiqa_edge.export.probe import calibration_views
from crossiqa_edge.runtime import irfile
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.backend import Backend
from crossiqa_edge.runtime.select import open_backend

_CALIBRATION = 64  # views that NNCF sees


def candidates(
    fp32: Artefact, int8: Artefact, threads: int | None
) -> tuple[dict[str, Backend], dict[str, str]]:
    """Open backends by name, onnxruntime's float32 first, and why others are missing."""
    made: dict[tuple[str, str], Callable[[Path], Artefact]] = {
        ("onnxruntime", "fp32"): lambda folder: fp32,
        ("openvino", "fp32"): lambda folder: fp32,
        ("onnxruntime", "int8 Q/DQ"): lambda folder: int8,
        ("openvino", "int8 Q/DQ"): lambda folder: int8,
        ("onnxruntime", "int8 dynamic"): lambda folder: _dynamic(fp32, folder),
        ("openvino", "int8 NNCF"): lambda folder: _by_nncf(fp32, folder),
    }
    opened: dict[str, Backend] = {}
    absent: dict[str, str] = {}
    with TemporaryDirectory() as folder:
        for (runtime, kind), make in made.items():
            name = f"{runtime} {kind}"
            found = _opened(make, Path(folder), runtime, threads)
            if isinstance(found, str):
                absent[name] = found
            else:
                opened[name] = found
    return opened, absent


def _opened(
    make: Callable[[Path], Artefact], folder: Path, runtime: str, threads: int | None
) -> Backend | str:
    """The backend, or why there is none."""
    try:
        return open_backend(make(folder), runtime, threads=threads)
    except (ArtefactError, BackendError) as error:
        return str(error)


def _dynamic(fp32: Artefact, folder: Path) -> Artefact:
    """The blocks' linear maps as onnxruntime's own tool quantises them: activations scaled at run time.

    Weights of 7 bits, because those of 8 overflow without VNNI; embedding and head stay float32.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # onnxruntime's tool makes a MatMul of every Gemm first, under this name
    names = [
        f"{node.name}_MatMul"
        for node in onnx.load(fp32.path).graph.node
        if node.op_type == "Gemm" and node.name.startswith("blocks.")
    ]
    path = folder / "dynamic.onnx"
    quantize_dynamic(
        fp32.path,
        path,
        op_types_to_quantize=["MatMul"],
        nodes_to_quantize=names,
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
    )
    return Artefact.open(path)


def _by_nncf(fp32: Artefact, folder: Path) -> Artefact:
    """The whole network as OpenVINO's tool for compression quantises a transformer, the embedding as well.

    Raises:
        BackendError: the tool is not installed.
    """
    if find_spec("nncf") is None or find_spec("openvino") is None:
        raise BackendError("not installed: pip install nncf openvino")
    import openvino

    nncf: Any = import_module("nncf")  # without types
    views = calibration_views(fp32.card)[:_CALIBRATION]
    model = nncf.quantize(
        openvino.Core().read_model(fp32.read()),
        nncf.Dataset([view[None] for view in views]),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(views),
    )
    model.set_rt_info(replace(fp32.card, precision="int8").to_json(), [CARD_KEY])
    graph, path = folder / irfile.GRAPH, folder / "nncf.openvino.zip"
    openvino.save_model(model, graph, compress_to_fp16=False)
    path.write_bytes(irfile.pack(graph.read_bytes(), (folder / irfile.WEIGHTS).read_bytes()))
    return Artefact.open(path)
