"""The int8 linear kernel, run in the interpreter: its integers are exact, and its noise is that of int8."""

import pytest
import torch
from closeness import assert_sqnr, sqnr
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreter import interpreted
from test_linear import BRAIN, HALF, SINGLE, layer, normal

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.kernels import device
from crossiqa_edge.kernels.linear import linear_reference
from crossiqa_edge.kernels.linear_int8 import (
    launch_linear_int8,
    linear_int8,
    linear_int8_reference,
    quantise_rows,
)


def check(x, columns, *, residual=None, scaled=False, activation="none"):
    """The kernel gives what its formula gives, to float32's rounding; that is near the float64 layer."""
    weight, bias, scale = layer(columns, x.shape[-1])
    scale = scale if scaled else None
    quantised, weight_scale = quantise_rows(weight)
    with interpreted():
        y = launch_linear_int8(x, quantised, weight_scale, bias, scale, residual, activation)
    same = linear_int8_reference(x, quantised, weight_scale, bias, scale, residual, activation)
    rounding = torch.finfo(y.dtype).eps
    torch.testing.assert_close(y, same, rtol=2 * rounding, atol=2e-6)
    wide = [None if value is None else value.double() for value in (x, weight, bias, scale, residual)]
    assert_sqnr(y, linear_reference(*wide, activation))
    return y


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE])
@pytest.mark.parametrize(("rows", "columns", "depth"), [(1, 48, 64), (50, 40, 192), (17, 33, 100)])
def test_every_type_and_shape(rows, columns, depth, dtype):
    check(normal(rows, depth, dtype=dtype), columns)


@pytest.mark.parametrize("activation", ["none", "gelu"])
@pytest.mark.parametrize("added", [False, True])
def test_epilogues(added, activation):
    residual = normal(2, 9, 24, seed=5) if added else None
    check(normal(2, 9, 96), 24, residual=residual, scaled=True, activation=activation)


@pytest.mark.filterwarnings("error")  # 0 / 0 becomes the integer 0, but nothing promises that
def test_zeros_give_the_bias():
    _, bias, _ = layer(24, 48)
    quantised, weight_scale = quantise_rows(torch.zeros(24, 48))
    with interpreted():
        y = launch_linear_int8(torch.zeros(3, 48), quantised, weight_scale, bias)
    assert torch.equal(y, bias.expand(3, 24))


def test_constant_rows():
    check(torch.full((3, 96), 3.7), 24)


@pytest.mark.parametrize("place", [(..., 3), (2,)], ids=["channel", "token"])
def test_outliers(place):
    """A channel of outliers is what its weight makes of it; a token of outliers has a scale of its own."""
    x = normal(5, 96)
    x[place] *= 1000
    check(x, 24)


def test_a_loud_token_costs_a_quiet_one_nothing():
    x = normal(2, 96)
    x[1] *= 1000
    y = check(x, 24)
    with interpreted():
        quantised, weight_scale = quantise_rows(layer(24, 96)[0])
        alone = launch_linear_int8(x[:1], quantised, weight_scale, layer(24, 96)[1])
    assert torch.equal(y[:1], alone)


def test_nothing_beyond_rows_and_depth_is_used():
    surrounded = torch.full((20, 128), torch.nan)
    surrounded[:5, :50] = normal(5, 50)
    check(surrounded[:5, :50], 24)


@pytest.mark.parametrize("gpu", [75, 80])
def test_the_sum_is_exact_where_float32_would_round(gpu, monkeypatch):
    """127 * 127 * 3072 has 26 bits; one unit more in a single place must show, and every unit of odd sums.

    On Turing each block of the sum is one of float32, and is an integer before it is added to the others.
    """
    monkeypatch.setattr(device, "STAND_IN_ARCHITECTURE", gpu)
    x = torch.full((1, 3072), 127.0)
    weight = torch.full((16, 3072), 127, dtype=torch.int8)
    weight[1, 1000] = 126
    weight[2:] -= torch.randint(0, 28, (14, 3072), generator=torch.manual_seed(0), dtype=torch.int8)
    with interpreted():
        y = launch_linear_int8(x, weight, torch.full((16,), 2.0**-20))
    exact = (x.double() @ weight.double().T) * 2.0**-20
    assert torch.equal(y, exact.float())
    assert y[0, 1] < y[0, 0]


def test_halves_are_rounded_to_even():
    x = torch.tensor([[127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5]])
    assert quantise_rows(x)[0].tolist() == [[127, 0, 2, 2, 0, -2, -2]]
    check(x.repeat(1, 8), 24)
    weight, ones = torch.eye(7, dtype=torch.int8), torch.ones(7)
    with interpreted():
        assert launch_linear_int8(x, weight, ones).tolist() == [[127, 0, 2, 2, 0, -2, -2]]


def test_quantised_weights_use_the_whole_range():
    quantised, scale = quantise_rows(normal(20, 50))
    assert (quantised.abs().amax(1) == 127).all()
    assert sqnr(quantised * scale[:, None], normal(20, 50)) > 35
    zeros, scale = quantise_rows(torch.zeros(2, 4))
    assert zeros.eq(0).all() and scale.eq(1).all()


@settings(max_examples=10)
@given(rows=st.integers(1, 40), columns=st.integers(8, 40), depth=st.integers(32, 150))
def test_any_shape(rows, columns, depth):
    check(normal(rows, depth), columns)


def test_opcheck():
    quantised, weight_scale = quantise_rows(layer(5, 6)[0])
    x, residual = normal(2, 3, 6), normal(2, 3, 5, seed=5)
    for rest in ((), (layer(5, 6)[1], layer(5, 6)[2], residual, "gelu")):
        torch.library.opcheck(torch.ops.crossiqa.linear_int8.default, (x, quantised, weight_scale, *rest))


@pytest.mark.parametrize("dtype", [HALF, SINGLE])
@pytest.mark.parametrize(("rows", "columns", "depth"), [(1, 48, 64), (50, 40, 192), (17, 33, 1100)])
def test_turing_computes_the_same_bits(rows, columns, depth, dtype, monkeypatch):
    x = normal(rows, depth, dtype=dtype)
    expected = check(x, columns)
    monkeypatch.setattr(device, "STAND_IN_ARCHITECTURE", 75)
    assert torch.equal(check(x, columns), expected)


def test_refuses_shapes_beyond_which_it_would_read():
    weight, weight_scale = quantise_rows(torch.ones(4, 4))
    with pytest.raises(ConfigError, match="weight_scale must be"):
        linear_int8(torch.zeros(1, 4), weight, weight_scale[:1])
    with pytest.raises(ConfigError, match="linear: weight must be"):
        linear_int8(torch.zeros(1, 5), weight, weight_scale)


def test_refuses_an_unknown_activation():
    with pytest.raises(ConfigError, match="choose from none, gelu"):
        linear_int8(torch.zeros(1, 4), *quantise_rows(torch.zeros(4, 4)), activation="relu")
