"""The linear kernel and its epilogues, run in the interpreter and held to torch; and its operator."""

import pytest
import torch
import torch.nn.functional as F
from closeness import assert_as_exact_as_torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreter import interpreted

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.kernels.linear import launch_linear, linear, linear_reference

HALF, BRAIN, SINGLE, DOUBLE = torch.float16, torch.bfloat16, torch.float32, torch.float64


def normal(*shape, dtype=SINGLE, seed=0):
    return torch.randn(shape, generator=torch.manual_seed(seed)).to(dtype)


def layer(columns, depth, dtype=SINGLE):
    """Weight that keeps the variance, bias and LayerScale."""
    weight = normal(columns, depth, seed=1) / depth**0.5
    return weight.to(dtype), normal(columns, dtype=dtype, seed=2), normal(columns, dtype=dtype, seed=3)


def torch_linear(x, weight, bias, scale, residual, activation):
    """With torch's own operators, in the types of the operands."""
    y = F.linear(x, weight, bias)
    y = F.gelu(y) if activation == "gelu" else y
    y = y if scale is None else y * scale
    return y if residual is None else y + residual


def check(x, columns, *, biased=True, scaled=False, residual=None, activation="none"):
    """Run the kernel; compare with float64, and torch in the same type with float64."""
    weight, bias, scale = layer(columns, x.shape[-1], x.dtype)
    operands = (x, weight, bias if biased else None, scale if scaled else None, residual)
    with interpreted():
        y = launch_linear(*operands, activation)
    exact = torch_linear(*(None if value is None else value.double() for value in operands), activation)
    assert y.is_contiguous()
    assert_as_exact_as_torch(y, torch_linear(*operands, activation), exact)
    return y


@pytest.mark.parametrize("activation", ["none", "gelu"])
@pytest.mark.parametrize("optional", [(), ("bias",), ("bias", "scale"), ("bias", "scale", "residual")])
def test_the_reference_is_torchs(optional, activation):
    x, (weight, bias, scale) = normal(2, 5, 33, dtype=DOUBLE), layer(12, 33, DOUBLE)
    given_ = {"bias": bias, "scale": scale, "residual": normal(2, 5, 12, dtype=DOUBLE, seed=4)}
    chosen = [given_[name] if name in optional else None for name in given_]
    result = linear_reference(x, weight, *chosen, activation)
    torch.testing.assert_close(result, torch_linear(x, weight, *chosen, activation))


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE])
@pytest.mark.parametrize(("rows", "columns", "depth"), [(1, 48, 64), (50, 40, 192), (17, 33, 100)])
def test_every_type_and_shape(rows, columns, depth, dtype):
    check(normal(rows, depth, dtype=dtype), columns)


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE])
def test_large_tiles(dtype):
    """So many rows that tiles of 64 x 64 are taken, with an edge in both directions."""
    check(normal(64 * 95 + 3, 16, dtype=dtype), 70)


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE])
@pytest.mark.parametrize(
    "steps",
    [
        {"biased": False},
        {"activation": "gelu"},
        {"scaled": True},
        {"biased": False, "activation": "gelu", "scaled": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("added", [False, True])
def test_epilogues(steps, added, dtype):
    residual = normal(2, 9, 24, dtype=dtype, seed=5) if added else None
    check(normal(2, 9, 48, dtype=dtype), 24, residual=residual, **steps)


def test_a_wider_residual_stream_keeps_its_type():
    x, (weight, bias, scale) = normal(5, 32, dtype=HALF), layer(16, 32, HALF)
    residual = normal(5, 16, seed=5)
    with interpreted():
        y = launch_linear(x, weight, bias, scale, residual)
    assert y.dtype == SINGLE
    exact = linear_reference(*(value.double() for value in (x, weight, bias, scale, residual)))
    torch.testing.assert_close(y.double(), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE])
def test_gelu_far_from_zero(dtype):
    """Very negative values go to zero, very positive ones to themselves; no NaN in between."""
    x = torch.tensor([[-1e4], [-30.0], [-5.0], [0.0], [5.0], [1e4]], dtype=dtype)
    with interpreted():
        y = launch_linear(x, torch.ones(1, 1, dtype=dtype), activation="gelu")
    torch.testing.assert_close(y, F.gelu(x.float()).to(dtype), rtol=1e-2, atol=2e-6)


def test_zeros_give_the_bias():
    _, bias, _ = layer(24, 48)
    assert torch.equal(check(torch.zeros(3, 48), 24), bias.expand(3, 24))


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE])
@pytest.mark.parametrize("place", [(..., 3), (2,)], ids=["channel", "token"])
def test_outliers(place, dtype):
    x = normal(5, 96)
    x[place] *= 1000
    check(x.to(dtype), 24)


def test_strides_are_read_as_they_are():
    x, residual = normal(4, 6, 48), normal(6, 4, 24, seed=5)
    expected = check(x[:, 0].contiguous(), 24, residual=residual.transpose(0, 1)[:, 0].contiguous())
    assert torch.equal(check(x[:, 0], 24, residual=residual.transpose(0, 1)[:, 0]), expected)
    check(normal(48, 6).T, 24)
    check(normal(1, 48).expand(6, 48), 24)


def test_nothing_beyond_rows_and_depth_is_used():
    surrounded = torch.full((20, 64), torch.nan)
    surrounded[:5, :50] = normal(5, 50)
    check(surrounded[:5, :50], 24)


@settings(max_examples=15)
@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    depth=st.integers(1, 80),
    dtype=st.sampled_from([HALF, BRAIN, SINGLE]),
    turned=st.booleans(),
)
def test_any_shape(rows, columns, depth, dtype, turned):
    x = normal(depth, rows, dtype=dtype).T if turned else normal(rows, depth, dtype=dtype)
    check(x, columns)


def operands(dtype, *, differentiable):
    values = normal(2, 3, 6, dtype=dtype), *layer(5, 6, dtype), normal(2, 3, 5, dtype=dtype, seed=5)
    return [value.requires_grad_(differentiable) for value in values]


@pytest.mark.parametrize("differentiable", [False, True])
def test_opcheck(differentiable):
    x, weight, bias, scale, residual = operands(SINGLE, differentiable=differentiable)
    for arguments in ((x, weight), (x, weight, bias, scale, residual, "gelu")):
        torch.library.opcheck(torch.ops.crossiqa.linear.default, arguments)


@pytest.mark.parametrize("activation", ["none", "gelu"])
def test_gradcheck(activation):
    x, weight, bias, scale, residual = operands(DOUBLE, differentiable=True)
    assert torch.autograd.gradcheck(
        lambda *values: linear(*values, activation), (x, weight, bias, scale, residual)
    )
    assert torch.autograd.gradcheck(lambda *values: linear(*values, activation=activation), (x, weight))


@pytest.mark.parametrize("dtype", [HALF, BRAIN])
def test_gradients_in_short_types_are_as_exact_as_torchs(dtype):
    values = normal(2, 9, 48, dtype=dtype), *layer(24, 48, dtype), normal(2, 9, 24, dtype=dtype, seed=5)
    upstream = normal(2, 9, 24, seed=6)

    def gradients(function, wide):
        leaves = [value.to(wide).requires_grad_() for value in values]
        return torch.autograd.grad(function(*leaves, "gelu"), leaves, upstream.to(wide))

    for own, torchs, exact in zip(
        gradients(linear, dtype), gradients(torch_linear, dtype), gradients(torch_linear, DOUBLE), strict=True
    ):
        assert_as_exact_as_torch(own, torchs, exact)


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight": normal(5, 7)},
        {"weight": normal(5, 4)},
        {"bias": normal(1)},
        {"scale": normal(6)},
        {"residual": normal(1, 3, 5)},
    ],
    ids=lambda wrong: "-".join(wrong),
)
def test_refuses_shapes_beyond_which_it_would_read(wrong):
    """And what torch would broadcast, for a kernel reads rows of the residual that are not there."""
    names = ("x", "weight", "bias", "scale", "residual")
    right = dict(zip(names, operands(SINGLE, differentiable=False), strict=True))
    linear(**right)
    with pytest.raises(ConfigError, match=f"linear: {next(iter(wrong))} must be"):
        linear(**(right | wrong))


def test_refuses_an_unknown_activation():
    with pytest.raises(ConfigError, match="choose from none, gelu"):
        linear(torch.zeros(1, 4), torch.zeros(4, 4), activation="relu")
