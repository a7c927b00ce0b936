"""``crossiqa::attention`` as torch sees it: schema, gradient, compilation, export, and what it refuses."""

import pytest
import torch
from attention_cases import packed, torch_attention, torch_gradient

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.kernels.attention import attention

SINGLE, DOUBLE = torch.float32, torch.float64


def some_mask(batch, tokens):
    return torch.arange(tokens).expand(batch, tokens) % 3 != 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, SINGLE])
@pytest.mark.parametrize("masked", [False, True])
def test_on_a_cpu_it_is_torchs_attention(dtype, masked):
    qkv, mask = packed(2, 50, 2, 32, dtype), some_mask(2, 50) if masked else None
    exact = torch_attention(qkv.double(), mask, 32**-0.5)
    out = attention(qkv, mask)
    assert out.dtype == dtype
    rounding = torch.finfo(dtype).eps
    torch.testing.assert_close(out.double(), exact, rtol=2 * rounding, atol=4 * torch.finfo(SINGLE).eps)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("differentiable", [False, True])
def test_opcheck(masked, differentiable):
    qkv = packed(2, 5, 2, 16, SINGLE).requires_grad_(differentiable)
    mask = some_mask(2, 5) if masked else None
    torch.library.opcheck(torch.ops.crossiqa.attention.default, (qkv, mask, 0.25, differentiable))


@pytest.mark.parametrize("masked", [False, True])
def test_opcheck_of_the_backward_operator(masked):
    qkv, mask = packed(2, 5, 2, 16, SINGLE), some_mask(2, 5) if masked else None
    out, sums = torch.ops.crossiqa.attention(qkv, mask, 0.25, True)
    arguments = (torch.ones_like(out), qkv, mask, out, sums, 0.25)
    torch.library.opcheck(torch.ops.crossiqa.attention_backward.default, arguments)


@pytest.mark.parametrize("masked", [False, True])
def test_gradcheck(masked):
    qkv, mask = packed(1, 4, 1, 16, DOUBLE).requires_grad_(), some_mask(1, 4) if masked else None
    assert torch.autograd.gradcheck(lambda qkv: attention(qkv, mask), qkv)


def test_sums_are_kept_only_for_a_gradient():
    qkv = packed(1, 5, 1, 16, SINGLE)
    assert torch.ops.crossiqa.attention(qkv, None, 0.25, False)[1].numel() == 0
    seen = []
    with torch.autograd.graph.saved_tensors_hooks(lambda kept: seen.append(kept.shape), lambda kept: kept):
        attention(qkv)
        assert seen == []
        attention(qkv.requires_grad_())
    assert torch.Size((4, 1, 1, 5)) in seen


def test_it_compiles_into_one_graph():
    qkv = packed(2, 9, 2, 16, SINGLE)
    leaf = qkv.clone().requires_grad_()
    torch.compile(attention, backend="aot_eager", fullgraph=True)(leaf).sum().backward()
    expected = torch_gradient(torch.ones(2, 9, 32), qkv, None, 0.25)
    torch.testing.assert_close(leaf.grad, expected, rtol=1e-5, atol=1e-6)


def test_it_exports_as_one_node():
    class Module(torch.nn.Module):
        def forward(self, qkv):
            return attention(qkv)

    qkv = packed(2, 9, 2, 16, SINGLE)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(Module(), (qkv,), dynamic_shapes={"qkv": {0: batch}})
    targets = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert torch.ops.crossiqa.attention.default in targets
    assert not any("softmax" in str(target) for target in targets)
    other = packed(3, 9, 2, 16, SINGLE)
    torch.testing.assert_close(program.module()(other), attention(other))


@pytest.mark.parametrize(
    ("qkv", "mask", "scale", "message"),
    [
        (torch.zeros(2, 5, 3, 32), None, None, r"not \(2, 5, 3, 32\)"),
        (torch.zeros(2, 5, 2, 2, 16), None, None, r"\(B, N, 3, H, D\)"),
        (torch.zeros(2, 5, 3, 2, 48), None, None, "D of 16, 32, 64, 128"),
        (torch.zeros(2, 5, 3, 2, 16, dtype=torch.int8), None, None, "not torch.int8"),
        (torch.zeros(2, 5, 3, 2, 16), torch.ones(2, 5), None, "bool"),
        (torch.zeros(2, 5, 3, 2, 16), torch.ones(5, 2, dtype=torch.bool), None, r"bool \(2, 5\)"),
        (torch.zeros(2, 5, 3, 2, 16), None, 0.0, "above 0"),
        (torch.zeros(2, 5, 3, 2, 16), None, float("nan"), "above 0"),
    ],
)
def test_refusals(qkv, mask, scale, message):
    with pytest.raises(ConfigError, match=message) as caught:
        attention(qkv, mask, scale=scale)
    assert "\n" not in str(caught.value)
