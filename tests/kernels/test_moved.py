"""The launch that moves tensors: here to other main memory, where the interpreter stands in for a GPU."""

import torch
import triton
import triton.language as tl
from interpreter import _launch, interpreted
from moved import launched_on
from triton.runtime.jit import JITFunction


@triton.jit
def _add_kernel(left, right, out, stride, COUNT: tl.constexpr):
    place = tl.arange(0, COUNT)
    tl.store(out + place, tl.load(left + place * stride) + tl.load(right + place * stride))


def test_what_a_kernel_writes_comes_back_and_nothing_else_changes(monkeypatch):
    memory, out = torch.arange(40.0), torch.full((16,), torch.nan)
    left, right = memory[0:32:2], memory[8:40:2]  # of one storage, with gaps, and overlapping
    before, addresses = memory.clone(), []

    def run(kernel, *args, **options):
        addresses.extend(value.data_ptr() for value in args if isinstance(value, torch.Tensor))
        _launch(kernel, *args, **options)

    with interpreted():
        monkeypatch.setattr(JITFunction, "run", launched_on("cpu", run))
        _add_kernel[(1,)](left, right, out[:16], 2, COUNT=16)
    assert torch.equal(out, left + right) and torch.equal(memory, before)
    assert not set(addresses) & {tensor.data_ptr() for tensor in (left, right, out)}
    assert addresses[1] - addresses[0] == right.data_ptr() - left.data_ptr()  # one copy of their memory
