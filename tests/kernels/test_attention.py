"""The forward kernel of attention, run in the interpreter and held to what torch reaches in the same type."""

import pytest
import torch
from attention_cases import TOKENS, packed, padded, torch_attention
from closeness import assert_as_exact_as_torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreter import interpreted

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.kernels.attention import HEAD_DIMS, attention_reference
from crossiqa_edge.kernels.attention_forward import launch_attention
from crossiqa_edge.kernels.attention_tiles import WHOLE_ROW, cut

HALF, BRAIN, SINGLE = torch.float16, torch.bfloat16, torch.float32


def check(qkv, mask=None, scale=None, tile=None):
    """Run the kernel; compare with float64, and torch in the same type with float64."""
    scale = qkv.shape[4] ** -0.5 if scale is None else scale
    with interpreted():
        out, sums = launch_attention(qkv, mask, scale, save_sums=True, tile=tile)
    exact, exact_sums = attention_reference(qkv.double(), mask, scale)
    assert out.is_contiguous()
    assert_as_exact_as_torch(out, torch_attention(qkv, mask, scale), exact)
    log_sum, exact_log_sum = (
        scale * (peak + peak_rest) + (total + total_rest).log()
        for peak, total, peak_rest, total_rest in (sums.double(), exact_sums)
    )
    torch.testing.assert_close(log_sum, exact_log_sum, rtol=1e-5, atol=1e-4)
    return out


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE])
@pytest.mark.parametrize("dim", [32, 64])
@pytest.mark.parametrize("tokens", TOKENS)
def test_every_length(tokens, dim, dtype):
    check(packed(3 if tokens < 100 else 1, tokens, 2 if tokens < 300 else 1, dim, dtype))


@pytest.mark.parametrize("dtype", [BRAIN, SINGLE])
@pytest.mark.parametrize("dim", HEAD_DIMS)
def test_every_type_and_head_dim(dtype, dim):
    check(packed(1, 197, 1, dim, dtype))


@pytest.mark.parametrize("tokens", [129, 197, 256])
def test_steps_give_what_whole_rows_give(tokens):
    assert tokens <= WHOLE_ROW  # the default takes whole rows here
    check(packed(1, tokens, 1, 32), tile=cut(tokens, 64, 64, warps=4, stages=1))


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE])
def test_zeros_give_zeros(dtype):
    with interpreted():
        out, _ = launch_attention(torch.zeros(1, 197, 3, 1, 32, dtype=dtype), None, 1.0)
    assert (out == 0).all()


@pytest.mark.parametrize("tokens", [49, 197])
def test_a_blank_frame_gives_its_value(tokens):
    """All tokens alike: every weight is 1 / N, and the mean of equal values is that value."""
    qkv = packed(1, 1, 2, 32, SINGLE).expand(1, tokens, 3, 2, 32)
    torch.testing.assert_close(check(qkv), qkv[:, :, 2].flatten(2), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE])
@pytest.mark.parametrize(
    "outlier", [(..., 3), (slice(None), 5), (slice(None), slice(None), 2)], ids=["channel", "token", "values"]
)
def test_outliers(outlier, dtype):
    qkv = packed(1, 97, 1, 32, SINGLE)
    qkv[outlier] *= 1000
    check(qkv.to(dtype))


def opposed(tokens, dtype):
    """Keys that point away from every query: all scores lie near -1800, whose exp2 is nothing at all."""
    qkv = packed(1, tokens, 1, 32, SINGLE)
    qkv[:, :, 0] += 10
    qkv[:, :, 1] -= 32
    return qkv.to(dtype)


@pytest.mark.parametrize("dtype", [HALF, SINGLE])
def test_scores_far_below_zero(dtype):
    check(opposed(97, dtype))
    check(opposed(97, dtype), tile=cut(97, 32, 32, warps=4, stages=1))


def test_the_scale_is_used():
    qkv = packed(1, 50, 1, 32, SINGLE)
    narrow, wide = check(qkv, scale=0.5), check(qkv, scale=0.05)
    assert (narrow - wide).abs().max() > 0.1


@pytest.mark.parametrize("tokens", [49, 197])
def test_masked_tokens_are_as_if_absent(tokens):
    qkv = packed(2, tokens, 1, 32, SINGLE)
    keep = torch.rand(tokens, generator=torch.manual_seed(1)) < 0.6
    out = check(qkv, keep.expand(2, tokens))
    torch.testing.assert_close(out[:, keep], check(qkv[:, keep]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("step", [0, 16])
def test_keys_that_do_not_count_are_not_read(step):
    """NaN in their keys and values reaches nothing, wherever the steps of the loop fall."""
    qkv = packed(2, 70, 1, 32, SINGLE)
    keep = torch.ones(2, 70, dtype=torch.bool)
    keep[0, :20] = keep[1, 64:] = keep[1, 33] = False
    tile = cut(70, 32, step or 128, warps=4, stages=1)
    clean = check(qkv, keep, tile=tile)
    qkv[:, :, 1:][~keep] = float("nan")
    with interpreted():
        out, _ = launch_attention(qkv, keep, 32**-0.5, tile=tile)
    torch.testing.assert_close(out, clean, rtol=0, atol=0)


def test_more_views_than_a_grid_has_room_for_are_refused():
    qkv = torch.zeros(1, 1, 3, 1, 16).expand(65536, -1, -1, -1, -1)
    with pytest.raises(ConfigError, match="at most 65535 views at once, not 65536"):
        launch_attention(qkv, None, 0.25)


def test_without_any_key_the_output_is_zero():
    qkv = packed(2, 50, 1, 32, SINGLE)
    keep = torch.zeros(2, 50, dtype=torch.bool)
    keep[1] = True
    with interpreted():
        out, sums = launch_attention(qkv, keep, 1.0, save_sums=True)
    assert (out[0] == 0).all()
    assert (sums[0, 0] == float("inf")).all()
    assert out[1].abs().min() > 0


@pytest.mark.parametrize("tokens", [1, 49, 64, 197])
def test_nothing_beyond_the_last_token_is_read(tokens):
    """The tokens are the first of a longer, poisoned buffer, as in a batch that was padded."""
    buffer = torch.full((2, tokens + 70, 3, 2, 32), float("nan"), dtype=HALF)
    buffer[:, :tokens] = packed(2, tokens, 2, 32)
    check(buffer[:, :tokens])


def layouts(qkv):
    """The same values, laid out otherwise."""
    stepped = qkv.repeat_interleave(2, 1)[:, ::2]
    head_last = qkv.permute(0, 1, 2, 4, 3).contiguous().permute(0, 1, 2, 4, 3)
    return {
        "tokens first": qkv.transpose(0, 1).contiguous().transpose(0, 1),
        "every other token": stepped,
        "every other view": qkv.repeat_interleave(2, 0)[::2],
        "an offset into something larger": torch.cat([qkv, qkv], 1)[:, qkv.shape[1] :],
        "heads not adjacent": head_last,
    }


@pytest.mark.parametrize("name", layouts(torch.zeros(1, 1, 3, 1, 16)))
def test_strides(name):
    qkv = packed(3, 49, 2, 32)
    other = layouts(qkv)[name]
    assert other.stride() != qkv.stride() or other.storage_offset()
    assert torch.equal(check(other), check(qkv))


def test_one_view_repeated_without_a_copy():
    qkv = packed(1, 49, 1, 32).expand(3, 49, 3, 1, 32)
    out = check(qkv)
    assert torch.equal(out[0], out[2])


@pytest.mark.parametrize("shape", [(0, 49, 3, 2, 32), (2, 0, 3, 2, 32)])
def test_nothing_in_gives_nothing_out(shape):
    with interpreted():
        out, _ = launch_attention(torch.zeros(shape), None, 1.0)
    assert out.shape == (shape[0], shape[1], 64)


@settings(max_examples=20)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 90), st.integers(1, 3), st.sampled_from((16, 32, 64))),
    cuts=st.tuples(st.sampled_from((16, 32, 64)), st.sampled_from((16, 32, 128))),
    dtype=st.sampled_from((HALF, BRAIN, SINGLE)),
    padding=st.integers(0, 5),
    masked=st.booleans(),
)
def test_any_shape_tile_and_stride(shape, cuts, dtype, padding, masked):
    qkv, keep = padded(shape, dtype, padding, masked=masked)
    check(qkv, keep, tile=cut(shape[1], *cuts, warps=4, stages=1))
