"""What a bundle can be made for: the software that such a device has, and the packages that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from crossiqa_edge.errors import ConfigError

# The newest releases that have wheels for the Python and processor of each target; torch is never needed.
# onnx is for building engines, SciPy for `crossiqa verify`, which degrades pictures: the rest do the scoring.
_PYTHON_310_ARM = (
    "numpy==2.2.6",
    "pillow==12.3.0",
    "onnxruntime==1.23.2",
    "av==17.1.0",
    "click==8.3.1",
    "rich==15.0.0",
    "onnx==1.21.0",
    "scipy==1.15.3",
    "cuda-bindings==12.9.4",
)
_PYTHON_312 = (
    "numpy==2.4.6",
    "pillow==13.0.0",
    "onnxruntime==1.32.0",
    "av==18.1.0",
    "click==8.5.1",
    "rich==15.0.0",
    "onnx==1.23.2",
    "scipy==1.17.1",
)


@dataclass(frozen=True, slots=True)
class DeviceKind:
    """One row of the table.

    Attributes:
        name: what ``--target`` takes.
        title: in a few words.
        software: the system that the pins are for.
        tensorrt: the TensorRT that comes with it.
        sm: its GPU architecture, 0 where it is any.
        requirements: pinned packages, one a line of ``requirements.txt``.
    """

    name: str
    title: str
    software: str
    tensorrt: str
    sm: int
    requirements: tuple[str, ...]


DEVICES = {
    kind.name: kind
    for kind in (
        DeviceKind(
            name="jetson-orin",
            title="Jetson AGX Orin, Orin NX and Orin Nano",
            software="JetPack 6.1 or 6.2: Ubuntu 22.04, Python 3.10, CUDA 12.6",
            tensorrt="10.3, from JetPack",
            sm=87,
            requirements=_PYTHON_310_ARM,
        ),
        DeviceKind(
            name="jetson-thor",
            title="Jetson AGX Thor",
            software="JetPack 7.2: Ubuntu 24.04, Python 3.12, CUDA 13",
            tensorrt="10.16, from JetPack",
            sm=110,
            requirements=(*_PYTHON_312, "cuda-bindings==13.0.3"),
        ),
        DeviceKind(
            name="server",
            title="x86-64 server with an NVIDIA GPU",
            software="Linux, Python 3.12, CUDA 13",
            tensorrt="11.4, from the package index",
            sm=0,
            requirements=(*_PYTHON_312, "cuda-bindings==13.5.0", "tensorrt==11.4.0.106"),
        ),
    )
}


def device_kind(name: str) -> DeviceKind:
    """The row called ``name``; ConfigError with the nearest name where there is none."""
    if name in DEVICES:
        return DEVICES[name]
    near = get_close_matches(name, DEVICES, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(DEVICES)}"
    raise ConfigError(f"unknown target {name!r}; {hint}")
