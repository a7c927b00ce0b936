"""The head kernel, run in the interpreter and held to the model's own modules."""

import pytest
import torch
import torch.nn.functional as F
from closeness import assert_as_exact_as_torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreter import interpreted

from crossiqa_edge.card import ModelCard
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.kernels.head import head, head_reference, launch_head
from crossiqa_edge.model.heads import Calibration
from crossiqa_edge.model.quality import QualityModel

HALF, BRAIN, SINGLE, DOUBLE = torch.float16, torch.bfloat16, torch.float32, torch.float64
EPSILON = 1e-6


def normal(*shape, dtype=SINGLE, seed=0):
    return torch.randn(shape, generator=torch.manual_seed(seed)).to(dtype)


def parameters(width, dtype=SINGLE):
    """LayerNorm, regression and calibration; scores spread over the scale."""
    values = 1 + 0.2 * normal(width, seed=1), normal(width, seed=2), normal(width, seed=3) / width**0.5
    return [value.to(dtype) for value in (*values, torch.tensor([0.1]), torch.tensor([1.5, -0.5]))]


def torch_head(tokens, norm_weight, norm_bias, weight, bias, calibration, pooling):
    pooled = tokens[:, 0] if pooling == "token" else tokens[:, 1:].mean(1)
    embedding = F.layer_norm(pooled, pooled.shape[-1:], norm_weight, norm_bias, EPSILON)
    raw = F.linear(embedding, weight[None], bias).squeeze(1)
    slope, offset = calibration
    return embedding, raw, 100 * torch.sigmoid(slope * raw + offset)


def check(tokens, pooling="token"):
    """Run the kernel; compare with float64: the embedding as torch does in float32, the rest by its rounding.

    A score is one number, and torch may be exact in one number by luck. So the sum that it comes from may be
    wrong by 8 roundings of the size of what is summed; calibration multiplies that by 25 slope at most.
    """
    values = parameters(tokens.shape[-1])
    with interpreted():
        embedding, raw, score = launch_head(tokens, *values, EPSILON, pooling)
    torchs, _, _ = torch_head(tokens.float(), *values, pooling)
    exact = torch_head(tokens.double(), *(value.double() for value in values), pooling)
    assert_as_exact_as_torch(embedding, torchs, exact[0])
    _, _, weight, bias, (slope, _) = values
    summed = (exact[0] * weight).abs().sum(1) + bias.abs()
    allowed = 8 * torch.finfo(SINGLE).eps * summed
    assert (raw.dtype, score.dtype) == (SINGLE, SINGLE)
    assert ((raw - exact[1]).abs() <= allowed).all()
    assert ((score - exact[2]).abs() <= 25 * slope * allowed + 4 * torch.finfo(SINGLE).eps * score).all()
    assert ((score >= 0) & (score <= 100)).all()
    return embedding, raw, score


@pytest.mark.parametrize("pooling", ["token", "mean"])
def test_the_reference_is_torchs(pooling):
    tokens, values = normal(3, 7, 40, dtype=DOUBLE), parameters(40, DOUBLE)
    expected = torch_head(tokens, *values, pooling)
    for result, other in zip(head_reference(tokens, *values, EPSILON, pooling), expected, strict=True):
        torch.testing.assert_close(result, other)


def test_it_is_the_end_of_the_model():
    """The operator on the last block's tokens gives the score of ``QualityModel``."""
    torch.manual_seed(0)
    model = QualityModel(ModelCard("m", "micro", calibration=(2.0, -1.0))).eval().requires_grad_(False)
    torch.nn.init.normal_(model.head.weight, std=0.1)
    seen = []
    model.encoder.norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    views = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8)
    score = model(views)
    assert isinstance(model.calibration, Calibration)
    calibration = torch.stack([model.calibration.slope, model.calibration.offset])
    norm, regression = model.encoder.norm, model.head
    results = head(seen[0], norm.weight, norm.bias, regression.weight, regression.bias, calibration, norm.eps)
    for result, expected in zip(results, (model.features(views), model.raw(views), score), strict=True):
        torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE])
@pytest.mark.parametrize("pooling", ["token", "mean"])
@pytest.mark.parametrize(("tokens", "width"), [(2, 33), (17, 192), (197, 128)])
def test_every_type_and_shape(tokens, width, pooling, dtype):
    check(normal(3, tokens, width, dtype=dtype), pooling)


def test_one_token_is_enough_for_the_class_token():
    check(normal(2, 1, 64))


@pytest.mark.parametrize("value", [0.0, 3.7, 1000.0])
@pytest.mark.parametrize("pooling", ["token", "mean"])
def test_constant_tokens(value, pooling):
    embedding, _, _ = check(torch.full((2, 20, 48), value), pooling)
    torch.testing.assert_close(embedding, parameters(48)[1].expand(2, 48), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pooling", ["token", "mean"])
def test_an_outlier_channel(pooling):
    tokens = normal(2, 20, 48)
    tokens[..., 5] *= 1000
    check(tokens, pooling)


@pytest.mark.parametrize("pooling", ["token", "mean"])
def test_strides_are_read_and_nothing_beyond(pooling):
    surrounded = torch.full((3, 30, 64), torch.nan)
    surrounded[:2, :21, :50] = normal(2, 21, 50)
    inside = surrounded[:2, :21, :50]
    for result, other in zip(check(inside, pooling), check(inside.contiguous(), pooling), strict=True):
        assert torch.equal(result, other)
    check(normal(2, 50, 21).transpose(1, 2), pooling)


@pytest.mark.filterwarnings("ignore:overflow encountered in exp")  # to infinity, and its reciprocal is 0
def test_scores_at_the_ends_of_the_scale_stay_numbers():
    norm_weight, norm_bias, weight, bias, _ = parameters(48)
    with interpreted():
        for slope in (1e4, -1e4):
            calibration = torch.tensor([slope, 0.0])
            _, raw, score = launch_head(
                normal(4, 2, 48), norm_weight, norm_bias, weight, bias, calibration, EPSILON
            )
            assert torch.equal(score, 100.0 * (slope * raw > 0))


@settings(max_examples=10)
@given(
    views=st.integers(1, 4),
    tokens=st.integers(2, 40),
    width=st.integers(2, 70),
    pooling=st.sampled_from(["token", "mean"]),
)
def test_any_shape(views, tokens, width, pooling):
    check(normal(views, tokens, width), pooling)


@pytest.mark.parametrize("pooling", ["token", "mean"])
def test_opcheck(pooling):
    arguments = (normal(2, 5, 8, dtype=HALF), *parameters(8), EPSILON, pooling)
    torch.library.opcheck(torch.ops.crossiqa.head.default, arguments)


def test_results_are_contiguous_whatever_the_strides():
    turned = normal(8, 5, 2).permute(2, 1, 0)
    assert head(turned, *parameters(8), EPSILON)[0].is_contiguous()


@pytest.mark.parametrize("place", range(5))
def test_refuses_shapes_beyond_which_it_would_read(place):
    given_ = list(parameters(8))
    given_[place] = torch.ones(3)
    with pytest.raises(ConfigError, match=r"head: \w+ must be"):
        head(normal(2, 5, 8), *given_, EPSILON)


def test_refusals():
    with pytest.raises(ConfigError, match="choose from token, mean"):
        head(normal(1, 2, 8), *parameters(8), EPSILON, "max")
    with pytest.raises(ConfigError, match="no tokens to pool"):
        head(normal(1, 1, 8), *parameters(8), EPSILON, "mean")
