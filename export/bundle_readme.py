"""The page that comes with a bundle: what to run on the device, in which order."""

from __future__ import annotations

from crossiqa_edge.export.bundle_targets import DeviceKind
from crossiqa_edge.runtime.artefact import Artefact

_PAGE = """\
# {identity}, {precision}, for {title}

Made for {software}; TensorRT {tensorrt}. The scores run from 0 (bad) to 100 (excellent).

## On the device

    python3 -m venv --system-site-packages .venv    # TensorRT's Python module comes with the system
    .venv/bin/pip install -r requirements.txt
    .venv/bin/python selftest.py --backend onnxruntime
    .venv/bin/python build_engine.py
    .venv/bin/python selftest.py --backend tensorrt

The first self-test needs no GPU: it shows that the files arrived and that the arithmetic is right. The
second runs the engine. Each prints one line a picture and ends with 0 if the scores agree with the stored
ones within {tolerance} points.

## Scoring

    PYTHONPATH=python .venv/bin/python -m crossiqa_edge.cli.main score PHOTO --model model.onnx

## The engine without Python

    {trtexec}

gives a plan for programs of your own, and `--dumpProfile` its speed. It is native code and fits this
device and this TensorRT alone. This package does not load it: it loads what `build_engine.py` made.
"""


def readme(source: Artefact, kind: DeviceKind, tolerance: float) -> str:
    """The text of ``README.md``; ``tolerance`` is the self-test's, in points of 0..100."""
    return _PAGE.format(
        identity=source.card.identity,
        precision=source.card.precision,
        title=kind.title,
        software=kind.software,
        tensorrt=kind.tensorrt,
        tolerance=tolerance,
        trtexec=trtexec(source.card.view_size),
    )


def trtexec(size: int, *, best: int = 1, largest: int = 8) -> str:
    """The command that builds the same engine with NVIDIA's tool, which comes with every TensorRT."""
    shapes = " ".join(
        f"--{name}Shapes=views:{batch}x{size}x{size}x3"
        for name, batch in (("min", 1), ("opt", best), ("max", largest))
    )
    return (
        f"/usr/src/tensorrt/bin/trtexec --onnx=model.onnx --stronglyTyped {shapes} "
        "--timingCacheFile=timing.cache --skipInference --saveEngine=model.plan"
    )
