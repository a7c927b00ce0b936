"""How a launcher learns what torch is set to."""

from functools import partial

import pytest
import torch

from crossiqa_edge.kernels.device import dot_precision

ways = {
    "as it used to be": partial(torch.set_float32_matmul_precision, "high"),
    "for cuBLAS": partial(setattr, torch.backends.cuda.matmul, "allow_tf32", True),
}
if hasattr(torch.backends.cuda.matmul, "fp32_precision"):  # torch 2.9 and later
    ways["as it is today"] = partial(setattr, torch.backends.cuda.matmul, "fp32_precision", "tf32")


@pytest.fixture(autouse=True)
def as_it_was():
    yield
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        torch.backends.cuda.matmul.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")


@pytest.mark.filterwarnings("ignore:Please use the new API settings")
@pytest.mark.parametrize("way", ways)
def test_tf32_is_taken_however_torch_was_told_of_it(way):
    assert dot_precision(torch.float32) == "ieee"
    ways[way]()
    assert dot_precision(torch.float32) == "tf32"
    assert dot_precision(torch.float16) == "ieee"
