"""Kernels on a GPU, called with tensors in main memory: there too the tests of the interpreter hold.

    CROSSIQA_KERNELS_ON=cuda python -m pytest tests/kernels/test_attention.py

A launch copies the memory behind its tensors to the GPU, whole, so that strides, gaps and canaries are where
they were; launches the kernel as compiled for that GPU; and copies all of it back. Tiles are those that the
tests choose.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch

DEVICE = os.environ.get("CROSSIQA_KERNELS_ON")


def launched_on(device: str, run: Callable[..., object]) -> Callable[..., None]:
    """``run``, a kernel's launch, with tensors in ``device`` that take the place of those it is given."""

    def launch(kernel: Any, *args: Any, **options: Any) -> None:
        copies: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}

        def moved(value: Any) -> Any:
            if not isinstance(value, torch.Tensor):
                return value
            storage = value.untyped_storage()
            place = storage.data_ptr()
            if place not in copies:
                there = torch.empty(storage.nbytes(), dtype=torch.uint8, device=device).untyped_storage()
                copies[place] = (storage, there.copy_(storage))
            tensor = torch.empty(0, dtype=value.dtype, device=device)
            return tensor.set_(copies[place][1], value.storage_offset(), value.shape, value.stride())

        run(kernel, *map(moved, args), **{name: moved(value) for name, value in options.items()})
        for here, there in copies.values():
            here.copy_(there)  # waits for the kernel

    return launch
