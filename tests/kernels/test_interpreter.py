"""The interpreter that judges kernels is judged itself: it must see the faults that it is there to see."""

import pytest
import torch
import triton
import triton.language as tl
from closeness import assert_as_exact_as_torch
from interpreter import interpreted
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.errors import InterpreterError


@triton.jit
def _twice(values):
    return values * 2


@triton.jit
def _rows_kernel(values, sums, count, SIZE: tl.constexpr, MASKED: tl.constexpr):
    at = tl.arange(0, SIZE)
    row = tl.load(values + at, mask=at < count, other=0.0) if MASKED else tl.load(values + at)
    tl.store(sums, tl.sum(_twice(row.to(tl.float32)), 0))
    tl.store(sums + 1, tl.max(row, 0))


@triton.jit
def _product_kernel(a, b, product, SIZE: tl.constexpr):
    at = tl.arange(0, SIZE)[:, None] * SIZE + tl.arange(0, SIZE)[None, :]
    tl.store(product + at, tl.dot(tl.load(a + at), tl.load(b + at)))


@triton.jit
def _narrow_kernel(values, narrow, SIZE: tl.constexpr, IN_BFLOAT: tl.constexpr):
    at = tl.arange(0, SIZE)
    row = tl.load(values + at).to(tl.bfloat16)
    tl.store(narrow + at, row + row if IN_BFLOAT else row)


def test_one_kernel_calls_another_and_tritons_own():
    values, sums = torch.arange(5.0), torch.zeros(2)
    with interpreted():
        _rows_kernel[(1,)](values, sums, 5, SIZE=8, MASKED=True)
    assert sums.tolist() == [20, 4]


def test_a_read_beyond_the_tensor_is_seen():
    with interpreted(), pytest.raises(InterpreterError, match="3 reads outside"):
        _rows_kernel[(1,)](torch.ones(5), torch.zeros(2), 5, SIZE=8, MASKED=False)


def test_a_write_beyond_the_tensor_is_seen():
    with interpreted(), pytest.raises(InterpreterError, match="1 writes outside"):
        _rows_kernel[(1,)](torch.ones(8), torch.zeros(1), 8, SIZE=8, MASKED=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_products_are_right_in_every_type(dtype):
    a, b = torch.randn(2, 32, 32).to(dtype)
    product = torch.empty(32, 32)
    with interpreted():
        _product_kernel[(1,)](a, b, product, SIZE=32)
    assert_as_exact_as_torch(product, a.float() @ b.float(), a.double() @ b.double())


def test_bfloat16_is_rounded_as_torch_rounds_it():
    special = torch.tensor(
        [1.9999, -1.9999, 1 + 2**-8, 1 + 3 * 2**-8, 1e-40, 3.4e38, float("inf"), float("nan")]
    )
    values = torch.cat([special, torch.randn(56)])
    narrow = torch.zeros(64, dtype=torch.bfloat16)
    with interpreted():
        _narrow_kernel[(1,)](values, narrow, SIZE=64, IN_BFLOAT=False)
    torch.testing.assert_close(narrow, values.bfloat16(), rtol=0, atol=0, equal_nan=True)


def test_arithmetic_on_bfloat16_is_refused():
    narrow = torch.zeros(64, dtype=torch.bfloat16)
    with interpreted(), pytest.raises(InterpreterError, match="convert to float32"):
        _narrow_kernel[(1,)](torch.ones(64), narrow, SIZE=64, IN_BFLOAT=True)


@triton.jit
def _fused_kernel(values, result, SIZE: tl.constexpr):
    x = tl.load(values + tl.arange(0, SIZE))
    tl.store(result + tl.arange(0, SIZE), tl.fma(x, x, -(2 * x - 1)))


def test_a_fused_multiply_add_rounds_once():
    """x * x - (2 x - 1) is (x - 1) ** 2, which is lost where x * x is rounded by itself."""
    x = 1 + torch.tensor([2.0**-12, 2.0**-13])
    result = torch.empty(2)
    with interpreted():
        _fused_kernel[(1,)](x, result, SIZE=2)
    assert torch.equal(result, (x - 1) ** 2)


@triton.jit
def _whole_kernel(values, whole, SIZE: tl.constexpr):
    at = tl.arange(0, SIZE)
    tl.store(whole + at, tl.load(values + at).to(tl.int8))


def test_nan_does_not_become_an_integer():
    whole = torch.zeros(4, dtype=torch.int8)
    with interpreted():
        _whole_kernel[(1,)](torch.tensor([-127.0, -0.9, 0.9, 127.0]), whole, SIZE=4)
        assert whole.tolist() == [-127, 0, 0, 127]
        with pytest.raises(InterpreterError, match="NaN has no integer"):
            _whole_kernel[(1,)](torch.tensor([1.0, float("nan"), 0.0, 0.0]), whole, SIZE=4)


def test_fresh_memory_is_poisoned_only_inside_the_block():
    with interpreted():
        assert torch.empty(100).isnan().all()
        assert torch.ones(1).new_empty(100).isnan().all()
    assert not torch.are_deterministic_algorithms_enabled()


def test_kernels_compile_after_they_were_interpreted(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))  # else an earlier result might come back
    test_one_kernel_calls_another_and_tritons_own()
    source = ASTSource(
        _rows_kernel, {"values": "*fp32", "sums": "*fp32", "count": "i32"}, {"SIZE": 8, "MASKED": True}
    )
    assert "ptx" in triton.compile(source, target=GPUTarget("cuda", 87, 32)).asm
    with pytest.raises(RuntimeError, match="outside of the scope of a kernel"):
        _twice(1)
