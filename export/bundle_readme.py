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
{verify}
The first self-test needs no GPU: it shows that the files arrived and that the arithmetic is right. The
second runs the engine. Each prints one line a picture and ends with 0 if the scores agree with the stored
ones within {tolerance} points.

{verifying}

## Scoring

    PYTHONPATH=python .venv/bin/python -m crossiqa_edge.cli.main score PHOTO --model model.onnx

## The engine without Python

    {trtexec}

gives a plan for programs of your own, for the batches that `build_engine.py` has by default, and without
`--skipInference` its speed too.{rewritten} The plan is native code and fits this device and this TensorRT
alone. This package does not load it: it loads what `build_engine.py` made. `trtexec` comes with JetPack and
with NVIDIA's Debian packages, not with the Python package.
"""

_VERIFY = "    PYTHONPATH=python .venv/bin/python -m crossiqa_edge.cli.main \\\n        verify model.onnx"
_VERIFYING = """\
`verify` repeats the acceptance of the export here: it compares ranks and scores with those of the float32
graph, `{reference}`, on over 200 views under every degradation, and ends with 1 if a limit does not hold."""
_UNVERIFIED = """\
`crossiqa verify` needs the float32 graph that `model.onnx` was made of, which did not come along: make the
bundle with `--reference FILE`."""
_REWRITTEN = """ `trtexec.onnx` is `model.onnx` with all that is not int8 in float16,
which `build_engine.py` makes of it before it builds."""


def readme(
    source: Artefact, kind: DeviceKind, tolerance: float, reference: str | None, *, rewritten: bool
) -> str:
    """The text of ``README.md``.

    Args:
        source: the graph in the bundle.
        kind: what the bundle is for.
        tolerance: of the self-test, in points of 0..100.
        reference: the float32 graph's name in the bundle; None where it has none.
        rewritten: whether TensorRT is given another graph, ``trtexec.onnx``.
    """
    verify = f"{_VERIFY} --reference {reference} --backend tensorrt\n" if reference else ""
    return _PAGE.format(
        verify=verify,
        verifying=_VERIFYING.format(reference=reference) if reference else _UNVERIFIED,
        rewritten=_REWRITTEN if rewritten else "",
        identity=source.card.identity,
        precision=source.card.precision,
        title=kind.title,
        software=kind.software,
        tensorrt=kind.tensorrt,
        tolerance=tolerance,
        trtexec=trtexec(source.card.view_size, "trtexec.onnx" if rewritten else "model.onnx"),
    )


def trtexec(size: int, graph: str = "model.onnx", *, best: int = 1, largest: int = 8) -> str:
    """The command that builds from ``graph``, for the batches that ``build_engine.py`` has by default."""
    shapes = " ".join(
        f"--{name}Shapes=views:{batch}x{size}x{size}x3"
        for name, batch in (("min", 1), ("opt", best), ("max", largest))
    )
    return (
        f"/usr/src/tensorrt/bin/trtexec --onnx={graph} --stronglyTyped {shapes} "
        "--timingCacheFile=timing.cache --skipInference --saveEngine=model.plan"
    )
