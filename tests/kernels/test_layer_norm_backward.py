"""The backward kernel of LayerNorm, run in the interpreter and held to what torch's autograd reaches."""

import random

import pytest
import torch
import torch.nn.functional as F
from closeness import assert_as_exact_as_torch
from interpreter import interpreted
from test_layer_norm import BRAIN, EPSILON, HALF, SINGLE, normal, parameters

from crossiqa_edge.kernels.layer_norm_backward import launch_layer_norm_backward


def torch_gradients(gradient, stream_gradient, stream, weight, branch, scale):
    """By autograd: of the stream, weight and bias, then of branch and scale, with residual = 0."""
    leaves = [stream, weight, torch.zeros_like(weight)]
    if scale is not None:
        leaves += [branch, scale]
    leaves = [leaf.detach().clone().requires_grad_() for leaf in leaves]
    value = leaves[0]
    if scale is not None:  # the stream is what it is; its gradient goes on to the branch and the scale
        value = value + leaves[3] * leaves[4] - (leaves[3] * leaves[4]).detach()
    out = F.layer_norm(value, value.shape[-1:], leaves[1], leaves[2], EPSILON)
    loss = (out * gradient).sum() + (0 if stream_gradient is None else (value * stream_gradient).sum())
    return torch.autograd.grad(loss, leaves)


def check(rows, width, dtype=SINGLE, *, scaled=False, streamed=True):
    weight, _, scale = parameters(width, dtype)
    stream, branch, gradient, stream_gradient = (
        normal(rows, width, dtype=dtype, seed=seed) for seed in range(4)
    )
    stream_gradient = stream_gradient if streamed else None
    scale, branch = (scale, branch) if scaled else (None, None)
    operands = (gradient, stream_gradient, stream, weight, branch, scale)
    with interpreted():
        results = launch_layer_norm_backward(*operands[:4], EPSILON, branch, scale)
    exact = torch_gradients(*(None if value is None else value.double() for value in operands))
    torchs = torch_gradients(*operands)
    assert len(results) == len(exact)
    for result, torch_result, reference in zip(results, torchs, exact, strict=True):
        assert_as_exact_as_torch(result, torch_result, reference)
    return results


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE])
@pytest.mark.parametrize("scaled", [False, True])
def test_every_type(dtype, scaled):
    check(50, 192, dtype, scaled=scaled)


@pytest.mark.parametrize(("rows", "width"), [(1, 33), (49, 64), (7, 768)])
def test_every_shape(rows, width):
    check(rows, width)


# In plain float32 one or two of 60 shapes fail, where torch's roundings happen to cancel.
@pytest.mark.parametrize("number", range(60))
def test_random_shapes(number):
    chance = random.Random(number)
    check(
        chance.randint(1, 40),
        chance.randint(1, 200),
        chance.choice([HALF, BRAIN, SINGLE]),
        scaled=chance.random() < 0.5,
        streamed=chance.random() < 0.5,
    )


@pytest.mark.parametrize("width", [1, 2, 3, 40])
@pytest.mark.parametrize("rows", [1, 2, 52])
def test_few_values_are_rounded_once(rows, width):
    """Where torch is right to the last bit, or nearly so, there is no room for a second rounding."""
    check(rows, width, scaled=True)


def test_without_a_gradient_of_the_stream():
    check(5, 40, streamed=False)


def test_programs_take_further_rows_when_there_are_more_rows_than_programs(monkeypatch):
    monkeypatch.setattr("crossiqa_edge.kernels.layer_norm_backward.PROGRAMS", 4)
    check(11, 17, scaled=True)


def test_nothing_beyond_the_columns_is_used():
    """In memory, a row is followed by the next: were its columns read too, the sums would be of both."""
    weight, _, _ = parameters(48)
    gradient, stream = normal(2, 48), normal(2, 48, seed=1)
    with interpreted():
        alone = launch_layer_norm_backward(gradient[:1], None, stream[:1], weight, EPSILON)
        gradient[1], stream[1] = torch.nan, torch.nan
        before_nan = launch_layer_norm_backward(gradient, None, stream, weight, EPSILON)
    assert torch.equal(alone[0][0], before_nan[0][0])


@pytest.mark.parametrize("scaled", [False, True])
def test_opcheck(scaled):
    weight, _, scale = parameters(6)
    rows = [normal(2, 3, 6, seed=seed) for seed in range(4)]
    arguments = (*rows[:3], weight, EPSILON, *((rows[3], scale) if scaled else (None, None)))
    torch.library.opcheck(torch.ops.crossiqa.layer_norm_backward.default, arguments)
