"""What a launcher must know of the device and the type of its tensors."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch

# A CPU tensor reaches a launcher only where the interpreter stands in for a GPU: Ampere, the plainest one.
STAND_IN_ARCHITECTURE = 80

DTYPES = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32"}


def architecture(device: torch.device) -> int:
    """Compute capability of ``device`` as one number, 87 for 8.7."""
    return _capability(device.index) if device.type == "cuda" else STAND_IN_ARCHITECTURE


def current_device(device: torch.device) -> AbstractContextManager[None]:
    """Makes ``device`` the current one for a block: Triton launches there, wherever the tensors are.

    Nothing for a CPU, where the interpreter stands in for a GPU.
    """
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


@cache
def _capability(index: int | None) -> int:
    major, minor = torch.cuda.get_device_capability(index)
    return 10 * major + minor


def dot_precision(dtype: torch.dtype) -> str:
    """How float32 products are computed, as torch is set to do it: ``ieee``, or ``tf32`` on tensor cores."""
    return "tf32" if dtype == torch.float32 and _torch_allows_tf32() else "ieee"


def _torch_allows_tf32() -> bool:
    """Whether torch was told so, in whatever way: ``get_float32_matmul_precision`` fails after the newest."""
    products = torch.backends.cuda.matmul
    precision = getattr(products, "fp32_precision", None)  # torch 2.9 and later have it
    return bool(products.allow_tf32 if precision is None else precision == "tf32")
