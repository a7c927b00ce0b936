"""Engine files for tests: headers and plans that no TensorRT has seen."""

import hashlib
from dataclasses import replace

from tiny_graph import TINY_CARD

from crossiqa_edge.runtime.devices import platform_name
from crossiqa_edge.runtime.engine_file import EngineHeader, EngineKey, pack
from crossiqa_edge.runtime.packed_plan import compress
from crossiqa_edge.version import __version__

KEY = bytes(range(32))
PLAN = b"plan " * 100
PACKED = compress(PLAN)


def engine_key(**changes):
    key = EngineKey(
        onnx_sha256="a" * 64,
        runtime="tensorrt-rtx",
        runtime_version="1.7.1.116",
        capabilities=(87,),
        device="Orin",
        platform=platform_name(),
        profile=(1, 8, 32),
        precision="fp16",
        recipe="b" * 64,
        toolkit=__version__,
    )
    return replace(key, **changes)


def engine_header(**changes):
    header = EngineHeader(
        key=engine_key(),
        card=TINY_CARD,
        plan_sha256=hashlib.sha256(PACKED).hexdigest(),
        packed_size=len(PACKED),
        plan_size=len(PLAN),
        stripped=False,
        built="2026-01-01T00:00:00+00:00",
        layers={"gemm Half": 11},
    )
    return replace(header, **changes)


def engine_bytes(secret=None, **changes):
    """A whole engine file, authenticated with ``secret`` (the machine's by default)."""
    return pack(engine_header(**changes), PACKED, secret)
