"""Runs the kernels on a CPU: Triton's interpreter, made honest, for the length of a ``with`` block.

``TRITON_INTERPRET=1`` is read when a kernel is decorated, so it would need a process of its own and could
not share one with the tests that compile. Here the decorated kernels stay as they are; inside
``interpreted()`` launching one, or calling one from another, goes to the interpreter instead:

    with interpreted():
        out = attention_forward(qkv, ...)  # the launcher as a GPU would run it, CPU tensors

Five habits of the interpreter (Triton 3.8) would hide faults, and are mended while the block lasts:

- ``tl.dot`` takes the bits of bfloat16 operands for integers, arithmetic on bfloat16 does the same, and
  the conversion to bfloat16 truncates. Here dots are right, conversion rounds to nearest even, and
  arithmetic on bfloat16 is refused: kernels compute in float32.
- loads and stores beyond a tensor pass unnoticed. Here every address that is not masked off must lie
  inside a tensor that was given to the kernel (inside its storage: canaries find the rest).
- ``tl.fma`` rounds twice, the product and the sum. Here it rounds once.
- NaN becomes some integer or other, where a GPU's result is undefined. Here it is refused.
- outputs that a kernel forgets to write hold whatever memory held. Here ``torch.empty`` is filled with NaN
  (integers: the largest value).

With ``CROSSIQA_KERNELS_ON=cuda`` in the environment the same tests run their kernels on the GPU, compiled for
it: see ``moved.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from types import FunctionType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import triton.language as tl
from moved import DEVICE, launched_on
from triton.runtime import interpreter as triton_interpreter
from triton.runtime.interpreter import InterpretedFunction, InterpreterBuilder, TensorHandle
from triton.runtime.jit import JITFunction


@contextmanager
def interpreted() -> Iterator[None]:
    """Inside the block every ``@triton.jit`` kernel runs on the CPU; products are summed in float32."""
    if DEVICE is not None:
        with patch.object(JITFunction, "run", launched_on(DEVICE, JITFunction.run)), _poisoned_allocations():
            yield
        return
    with ExitStack() as stack:
        language = triton_interpreter._patch_lang(_sees_the_language)
        stack.callback(language.restore)
        stack.enter_context(patch.object(JITFunction, "run", _launch))
        stack.enter_context(patch.object(JITFunction, "__call__", _call))
        for name, mended in _MENDED.items():
            stack.enter_context(patch.object(InterpreterBuilder, name, mended))
        stack.enter_context(_poisoned_allocations())
        yield


@contextmanager
def operators_interpreted() -> Iterator[None]:
    """As ``interpreted()``, and the operators of ``torch.ops.crossiqa`` launch their kernels, on CPU tensors.

    Operators ask a tensor whether it lies on a GPU, and here every tensor claims so. Only for what
    consists of our operators and of torch's that do not ask.
    """
    with interpreted(), patch.object(torch.Tensor, "is_cuda", True):
        yield


def _launch(kernel: JITFunction, *args: Any, grid: Any, warmup: bool, **options: Any) -> None:
    tensors = [value for value in (*args, *options.values()) if isinstance(value, torch.Tensor)]
    _extents[:] = sorted(_extent(tensor) for tensor in tensors)
    InterpretedFunction(kernel.fn).run(*args, grid=grid, warmup=warmup, **options)


def _call(kernel: JITFunction, *args: Any, **options: Any) -> Any:
    return _rewritten(kernel.fn)(*args, **options)


@cache
def _rewritten(function: FunctionType) -> Any:
    return InterpretedFunction(function).rewrite()


# A function that sees both modules whose functions the interpreter exchanges: it exchanges those that it
# finds among the globals of a kernel, and Triton's own ``tl.max`` or ``tl.sum`` see ``tl.core`` alone.
_sees_the_language = FunctionType(
    (lambda: None).__code__, {"tl": tl, "core": tl.core, "math": tl.math, "__builtins__": {}}
)


@contextmanager
def _poisoned_allocations() -> Iterator[None]:
    deterministic = torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        torch.utils.deterministic.fill_uninitialized_memory = filled


# --- loads and stores -----------------------------------------------------------------------------------

_extents: list[
    tuple[int, int]
] = []  # [first address, first address beyond) of the tensors of the running kernel
_masked_load = InterpreterBuilder.create_masked_load
_masked_store = InterpreterBuilder.create_masked_store


def _extent(tensor: torch.Tensor) -> tuple[int, int]:
    storage = tensor.untyped_storage()
    return storage.data_ptr(), storage.data_ptr() + storage.nbytes()


def _assert_inside(pointers: TensorHandle, mask: TensorHandle, action: str) -> None:
    size = pointers.dtype.scalar.element_ty.primitive_bitwidth // 8
    addresses = np.broadcast_to(pointers.data, mask.data.shape)[mask.data.astype(bool)]
    inside = np.zeros(addresses.shape, bool)
    for start, stop in _extents:
        inside |= (addresses >= start) & (addresses + size <= stop)
    assert inside.all(), f"{np.count_nonzero(~inside)} {action} outside the kernel's tensors"


def _checked_load(builder: Any, pointers: TensorHandle, mask: TensorHandle, *rest: Any) -> TensorHandle:
    _assert_inside(pointers, mask, "reads")
    return _masked_load(builder, pointers, mask, *rest)


def _checked_store(
    builder: Any, pointers: TensorHandle, value: TensorHandle, mask: TensorHandle, *rest: Any
) -> Any:
    _assert_inside(pointers, mask, "writes")
    return _masked_store(builder, pointers, value, mask, *rest)


# --- arithmetic; bfloat16, which the interpreter keeps as uint16 -----------------------------------------

_binary = InterpreterBuilder.binary_op
_cast = InterpreterBuilder.cast_impl
_convert = InterpreterBuilder.create_fp_to_fp
_dot = InterpreterBuilder.create_dot


def _widened(handle: TensorHandle) -> TensorHandle:
    if handle.dtype.scalar != tl.bfloat16:
        return handle
    return TensorHandle((handle.data.astype(np.uint32) << 16).view(np.float32), tl.float32)


def _rounded(data: np.ndarray) -> TensorHandle:
    bits = np.ascontiguousarray(data, np.float32).view(np.uint32)
    even = bits + (0x7FFF + ((bits >> 16) & 1))
    return TensorHandle(
        (np.where(np.isnan(data), bits | 0x400000, even) >> 16).astype(np.uint16), tl.bfloat16
    )


def _mended_cast(builder: Any, source: TensorHandle, to: Any) -> TensorHandle:
    pair = (source.dtype.scalar, to.scalar)
    if pair == (tl.bfloat16, tl.float32):
        return _widened(source)
    if pair == (tl.float32, tl.bfloat16):
        return _rounded(source.data)
    assert tl.bfloat16 not in pair or pair[0] == pair[1], f"the interpreter cannot convert {pair}"
    if pair[0].is_floating() and to.scalar.is_int():
        assert not np.isnan(source.data).any(), "NaN has no integer: on a GPU the result is undefined"
    return _cast(builder, source, to)


def _mended_conversion(builder: Any, source: TensorHandle, to: Any, rounding: Any) -> TensorHandle:
    if tl.bfloat16 in (source.dtype.scalar, to.scalar):
        return _mended_cast(builder, source, to)
    return _convert(builder, source, to, rounding)


def _mended_binary(builder: Any, left: TensorHandle, right: TensorHandle, operation: Any) -> TensorHandle:
    assert left.dtype.scalar != tl.bfloat16, "arithmetic on bfloat16: convert to float32 first"
    return _binary(builder, left, right, operation)


def _fused(builder: Any, x: TensorHandle, y: TensorHandle, z: TensorHandle) -> TensorHandle:
    exact = x.data.astype(np.float64) * y.data + z.data  # the product of two float32 is exact in float64
    return TensorHandle(exact.astype(z.data.dtype), z.dtype.scalar)


def _mended_dot(builder: Any, a: TensorHandle, b: TensorHandle, *rest: Any) -> TensorHandle:
    return _dot(builder, _widened(a), _widened(b), *rest)


_MENDED = {
    "create_masked_load": _checked_load,
    "create_masked_store": _checked_store,
    "binary_op": _mended_binary,
    "cast_impl": _mended_cast,
    "create_fp_to_fp": _mended_conversion,
    "create_dot": _mended_dot,
    "create_fma": _fused,
}
