"""The forward kernel of LayerNorm, run in the interpreter and held to torch; and its operators."""

import pytest
import torch
import torch.nn.functional as F
from closeness import assert_as_exact_as_torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreter import interpreted

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.kernels.layer_norm import (
    add_layer_norm,
    launch_layer_norm,
    layer_norm,
    layer_norm_reference,
)
from crossiqa_edge.kernels.tiles import RowTile

HALF, BRAIN, SINGLE, DOUBLE = torch.float16, torch.bfloat16, torch.float32, torch.float64
EPSILON = 1e-6


def normal(*shape, dtype=SINGLE, seed=0):
    return torch.randn(shape, generator=torch.manual_seed(seed)).to(dtype)


def parameters(width, dtype=SINGLE):
    """Weight around 1, bias, and LayerScale, all different."""
    return (
        1 + 0.2 * normal(width, seed=1).to(dtype),
        normal(width, seed=2).to(dtype),
        normal(width, seed=3).to(dtype),
    )


def check(branch, residual=None, scaled=False):
    """Run the kernel; compare both results with float64, and torch in the same type with float64."""
    weight, bias, scale = parameters(branch.shape[-1], branch.dtype)
    scale = scale if scaled else None
    with interpreted():
        results = launch_layer_norm(branch, weight, bias, EPSILON, residual, scale)
    wide = [None if value is None else value.double() for value in (branch, weight, bias, residual, scale)]
    exact = layer_norm_reference(*wide[:3], EPSILON, *wide[3:])
    stream = branch if scale is None else branch * scale
    stream = stream if residual is None else stream + residual
    typed = [value.to(stream.dtype) for value in (weight, bias)]
    torchs = F.layer_norm(stream, stream.shape[-1:], *typed, EPSILON).to(branch.dtype), stream
    for result, torch_result, reference in zip(results, torchs, exact, strict=True):
        assert_as_exact_as_torch(result, torch_result, reference)
    return results


def test_the_reference_is_torchs_layer_norm():
    x, (weight, bias, scale) = normal(3, 5, 33, dtype=DOUBLE), parameters(33, DOUBLE)
    residual = normal(3, 5, 33, dtype=DOUBLE, seed=4)
    normalised, stream = layer_norm_reference(x, weight, bias, EPSILON, residual, scale)
    torch.testing.assert_close(stream, residual + scale * x)
    torch.testing.assert_close(normalised, F.layer_norm(stream, (33,), weight, bias, EPSILON))


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE])
@pytest.mark.parametrize("width", [33, 64, 192, 768])
def test_every_type_and_width(width, dtype):
    check(normal(3, 7, width, dtype=dtype))


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE])
@pytest.mark.parametrize("scaled", [False, True])
def test_residual_and_layer_scale(scaled, dtype):
    check(normal(2, 5, 192, dtype=dtype), normal(2, 5, 192, dtype=dtype, seed=5), scaled)


def test_a_wider_residual_stream_keeps_its_type():
    normalised, stream = check(normal(4, 64, dtype=HALF), normal(4, 64, seed=5), scaled=True)
    assert (normalised.dtype, stream.dtype) == (HALF, SINGLE)


def test_several_rows_a_program_leave_no_row_out(monkeypatch):
    monkeypatch.setattr("crossiqa_edge.kernels.layer_norm.row_tile", lambda rows, width: RowTile(4, 32, 1))
    check(normal(11, 20), normal(11, 20, seed=5))


@pytest.mark.parametrize("value", [0.0, 0.1, 3.7, 1000.0])
@pytest.mark.parametrize("dtype", [HALF, SINGLE])
def test_constant_rows(value, dtype):
    check(torch.full((3, 192), value, dtype=dtype))


def test_constant_rows_of_a_wider_stream():
    check(torch.zeros(3, 192, dtype=HALF), torch.full((3, 192), 1000.1))


def test_zeros_give_the_bias():
    _, bias, _ = parameters(192)
    assert torch.equal(check(torch.zeros(2, 192))[0], bias.expand(2, 192))


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE])
def test_an_outlier_channel(dtype):
    x = normal(5, 192)
    x[:, 7] *= 1000
    check(x.to(dtype))


def test_strides_are_read_as_they_are():
    x, residual = normal(4, 6, 50), normal(6, 4, 50, seed=5)
    expected = check(x[:, 0].contiguous(), residual.transpose(0, 1)[:, 0].contiguous())
    for result, other in zip(check(x[:, 0], residual.transpose(0, 1)[:, 0]), expected, strict=True):
        assert torch.equal(result, other)
    check(normal(50, 6).T)
    check(normal(1, 50).expand(6, 50))


def test_nothing_beyond_rows_and_columns_is_used():
    surrounded = torch.full((8, 64), torch.nan)
    surrounded[:5, :50] = normal(5, 50)
    check(surrounded[:5, :50], surrounded[:5, :50])


@settings(max_examples=15)
@given(
    rows=st.integers(1, 20),
    width=st.integers(1, 70),
    dtype=st.sampled_from([HALF, BRAIN, SINGLE]),
    residual=st.booleans(),
    turned=st.booleans(),
)
def test_any_shape(rows, width, dtype, residual, turned):
    x = normal(width, rows, dtype=dtype).T if turned else normal(rows, width, dtype=dtype)
    check(x, normal(rows, width, dtype=dtype, seed=5) if residual else None, residual)


def inputs(dtype=SINGLE, *, differentiable=False):
    values = normal(2, 3, 6, dtype=dtype), normal(2, 3, 6, dtype=dtype, seed=5), *parameters(6, dtype)
    return [value.requires_grad_(differentiable) for value in values]


@pytest.mark.parametrize("differentiable", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
def test_opcheck(scaled, differentiable):
    x, residual, weight, bias, scale = inputs(differentiable=differentiable)
    torch.library.opcheck(torch.ops.crossiqa.layer_norm.default, (x, weight, bias, EPSILON))
    arguments = (x, residual, scale if scaled else None, weight, bias, EPSILON)
    torch.library.opcheck(torch.ops.crossiqa.add_layer_norm.default, arguments)


@pytest.mark.parametrize("wrong", ["weight", "bias", "residual", "scale"])
def test_refuses_shapes_beyond_which_it_would_read(wrong):
    names = ("branch", "residual", "weight", "bias", "scale")
    right = dict(zip(names, inputs(), strict=True))
    add_layer_norm(**right, epsilon=EPSILON)
    with pytest.raises(ConfigError, match=f"add_layer_norm: {wrong} must be"):
        add_layer_norm(**(right | {wrong: right[wrong][:1]}), epsilon=EPSILON)
    if wrong in ("weight", "bias"):
        alone = {"x": right["branch"], "weight": right["weight"], "bias": right["bias"]}
        with pytest.raises(ConfigError, match=f"layer_norm: {wrong} must be"):
            layer_norm(**(alone | {wrong: right[wrong][:1]}), epsilon=EPSILON)


def turned(x):
    """The same values, not contiguous: as patches without a class token are."""
    return x.transpose(1, 2).contiguous().transpose(1, 2)


def test_results_are_contiguous_whatever_the_strides():
    """torch.compile reads them as the operators without data say that they lie."""
    x, residual, weight, bias, scale = inputs()
    arguments = (turned(x), turned(residual), scale, weight, bias, EPSILON)
    gradients = torch.ops.crossiqa.layer_norm_backward(
        *(turned(x), turned(x), turned(x), weight, EPSILON, turned(x), scale)
    )
    for result in (layer_norm(turned(x), weight, bias, EPSILON), *add_layer_norm(*arguments), *gradients):
        assert result.is_contiguous()


def test_gradcheck():
    x, residual, weight, bias, scale = inputs(DOUBLE, differentiable=True)
    assert torch.autograd.gradcheck(lambda *values: layer_norm(*values, EPSILON), (x, weight, bias))
    for factor in (scale, None):
        assert torch.autograd.gradcheck(
            lambda *values, factor=factor: add_layer_norm(*values[:2], factor, *values[2:4], EPSILON),
            (x, residual, weight, bias, *([] if factor is None else [factor])),
        )
