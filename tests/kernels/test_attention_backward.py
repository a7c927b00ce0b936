"""The backward kernels of attention, run in the interpreter, against float64 and torch's own gradient."""

import pytest
import torch
from attention_cases import TOKENS, packed, padded, torch_gradient
from closeness import assert_as_exact_as_torch, rms
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreter import interpreted

from crossiqa_edge.kernels.attention import attention_backward_reference, attention_reference
from crossiqa_edge.kernels.attention_backward import launch_attention_backward
from crossiqa_edge.kernels.attention_forward import launch_attention
from crossiqa_edge.kernels.attention_tiles import backward_tile, cut

HALF, BRAIN, SINGLE = torch.float16, torch.bfloat16, torch.float32


def upstream(qkv):
    """A gradient of the output (B, N, H * D)."""
    batch, tokens, _, heads, dim = qkv.shape
    return packed(batch, tokens, heads, dim, qkv.dtype, seed=7)[:, :, 0].flatten(2)


def run(qkv, mask=None, scale=0.2, tile=None, out_gradient=None):
    """The kernels' gradient of ``qkv``, with what the forward kernel saved."""
    with interpreted():
        out, sums = launch_attention(qkv, mask, scale, save_sums=True)
        given = upstream(qkv) if out_gradient is None else out_gradient
        return launch_attention_backward(given, qkv, mask, out, sums, scale, tile=tile)


def check(qkv, mask=None, scale=0.2, tile=None):
    gradient = run(qkv, mask, scale, tile)
    exact = torch_gradient(upstream(qkv).double(), qkv.double(), mask, scale)
    own = torch_gradient(upstream(qkv), qkv, mask, scale)
    assert gradient.is_contiguous()
    assert_as_exact_as_torch(gradient, own, exact)
    if qkv.shape[1] > 1:  # one token has no gradient but that of its value
        for part in range(3):
            assert_as_exact_as_torch(gradient[:, :, part], own[:, :, part], exact[:, :, part])
    return gradient


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE])
@pytest.mark.parametrize("dim", [32, 64])
@pytest.mark.parametrize("tokens", TOKENS)
def test_every_length(tokens, dim, dtype):
    """The longest rows of float32 in tiles of 128: those of a GPU, 16, take the interpreter six minutes."""
    tile = cut(tokens, 128, 128, warps=4, stages=1) if dtype == SINGLE and tokens > 577 else None
    check(packed(3 if tokens < 100 else 1, tokens, 2 if tokens < 100 else 1, dim, dtype), tile=tile)


@pytest.mark.parametrize("dtype", [BRAIN, SINGLE])
@pytest.mark.parametrize("dim", [16, 32, 64, 128])
def test_every_type_and_head_dim(dtype, dim):
    check(packed(1, 83, 1, dim, dtype))


@pytest.mark.parametrize("dtype", [HALF, SINGLE])
@pytest.mark.parametrize("tokens", [50, 97])
def test_masks(tokens, dtype):
    qkv = packed(2, tokens, 2, 32, dtype)
    keep = torch.rand(2, tokens, generator=torch.manual_seed(1)) < 0.6
    gradient = check(qkv, keep)
    assert (gradient[:, :, 1:][~keep] == 0).all()
    assert rms(gradient[:, :, 0][~keep]) > 0  # as a query such a token still asks


def test_keys_that_do_not_count_are_not_read():
    qkv = packed(2, 70, 1, 32, SINGLE)
    keep = torch.ones(2, 70, dtype=torch.bool)
    keep[0, :20] = keep[1, 64:] = keep[1, 33] = False
    clean = run(qkv, keep)
    qkv[:, :, 1:][~keep] = float("nan")
    torch.testing.assert_close(run(qkv, keep), clean, rtol=0, atol=0)


@pytest.mark.parametrize("tokens", [1, 50])
def test_where_one_key_counts_no_score_has_a_gradient(tokens):
    qkv = packed(3, tokens, 2, 32, SINGLE)
    keep = torch.zeros(3, tokens, dtype=torch.bool)
    for picture, key in enumerate((0, tokens // 2, tokens - 1)):
        keep[picture, key] = True
    gradient = check(qkv, keep)
    assert (gradient[:, :, :2] == 0).all()  # exactly, as torch's
    assert rms(gradient[:, :, 2]) > 0


def test_without_any_key_there_is_no_gradient():
    qkv = packed(1, 50, 1, 32, SINGLE)
    assert (run(qkv, torch.zeros(1, 50, dtype=torch.bool)) == 0).all()


@pytest.mark.parametrize("tokens", [1, 49, 64, 97])
def test_nothing_beyond_the_last_token_is_read(tokens):
    buffer = torch.full((2, tokens + 70, 3, 2, 32), float("nan"), dtype=HALF)
    buffer[:, :tokens] = packed(2, tokens, 2, 32)
    check(buffer[:, :tokens])


@pytest.mark.parametrize("cuts", [(16, 16), (32, 16), (16, 64), (64, 128)])
def test_any_tile(cuts):
    check(packed(1, 75, 1, 32), tile=cut(75, *cuts, warps=4, stages=1))


@pytest.mark.parametrize("architecture", [90, 100])
def test_few_rows_of_wide_heads_in_float32(architecture):
    check(packed(1, 75, 1, 128, SINGLE), tile=backward_tile(architecture, 75, 128, "fp32"))


@pytest.mark.parametrize("dim", [32, 128])
def test_tf32(dim, monkeypatch):
    """float32 in the way of 16 bits, in all three kernels: 11 bits on a GPU, 24 in the interpreter."""
    for name in ("forward", "backward"):
        monkeypatch.setattr(f"crossiqa_edge.kernels.attention_{name}.dot_precision", lambda dtype: "tf32")
    qkv, keep = packed(2, 50, 1, dim, SINGLE), torch.arange(50).expand(2, -1) % 3 != 1
    exact = torch_gradient(upstream(qkv).double(), qkv.double(), keep, 0.2)
    assert rms(run(qkv, keep).double() - exact) < 2e-3 * rms(exact)


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE])
@pytest.mark.parametrize("dim", [16, 128])
def test_slices(dim, dtype):
    """As on Turing at 128 elements a head; float32 in pairs has its own."""
    tile = cut(40, 16, 16, warps=8, stages=1, sliced=True)
    check(packed(1, 40, 1, dim, dtype), torch.arange(40)[None] % 3 != 1, tile=tile)


def test_strides():
    qkv = packed(2, 49, 2, 32)
    other = qkv.transpose(0, 1).contiguous().transpose(0, 1)
    assert torch.equal(check(other), check(qkv))


def test_an_expanded_gradient():
    """What ``out.sum().backward()`` sends: one value, no strides."""
    qkv = packed(2, 49, 2, 32, SINGLE)
    ones = torch.ones(1, 1, 1).expand(2, 49, 64)
    given = run(qkv, out_gradient=ones)
    torch.testing.assert_close(given, run(qkv, out_gradient=ones.contiguous()), rtol=0, atol=0)


def test_outliers():
    qkv = packed(1, 75, 1, 32, SINGLE)
    qkv[..., 2, :, 3] *= 1000
    check(qkv.to(HALF))


@pytest.mark.parametrize("masked", [False, True])
def test_scores_far_below_zero(masked):
    """Scores near -3,000: their exponentials are nothing at all, and float32 rounds them at 2^-13.

    The kernels do not: they have a hundredth of its error. A weight that an absent key must not have would be
    infinite, and 0 times it no number.
    """
    qkv = packed(1, 49, 1, 32, SINGLE)
    qkv[:, :, 0] += 10
    qkv[:, :, 1] -= 32
    mask = torch.arange(49)[None] % 3 != 1 if masked else None
    exact = torch_gradient(upstream(qkv).double(), qkv.double(), mask, 0.2)
    torchs = torch_gradient(upstream(qkv), qkv, mask, 0.2)
    assert rms(check(qkv, mask) - exact) < 0.01 * rms(torchs - exact)


@pytest.mark.parametrize(
    ("seed", "tokens", "dim", "spread", "scale"),
    [(9, 28, 32, 1, 0.2), (29, 5, 32, 3, 0.2), (32, 11, 16, 3, 1.6), (39, 43, 32, 1, 1.6)],
)
def test_where_one_key_has_nearly_all_weight(seed, tokens, dim, spread, scale):
    """Scores of -2,000 to -16,000, which both gradients compute anew, each summing in its own order.

    Rounded at 2^-31 of their size, as they were, they gave the one key a weight that is not the forward
    pass's, and gradients with 5 to 30 times torch's error.
    """
    qkv = packed(1, tokens, 1, dim, SINGLE, seed=seed)
    qkv[:, :, :2] *= spread
    qkv[:, :, 0] += 10
    qkv[:, :, 1] -= 32
    check(qkv, None, scale)


def test_scores_far_below_zero_in_16_bits():
    qkv = packed(1, 49, 1, 32, SINGLE)
    qkv[:, :, 0] += 3
    qkv[:, :, 1] -= 10
    check(qkv.to(HALF), torch.arange(49)[None] % 3 != 1)


def test_a_blank_frame():
    """All tokens alike: nothing tells keys apart, so queries have no gradient."""
    qkv = packed(1, 1, 2, 32, SINGLE).expand(1, 97, 3, 2, 32)
    assert rms(run(qkv)[:, :, 0]) < 1e-6


@pytest.mark.parametrize("masked", [False, True])
def test_the_reference_is_the_derivative(masked):
    qkv = packed(2, 7, 2, 16, torch.float64)
    keep = torch.rand(2, 7, generator=torch.manual_seed(1)) < 0.6 if masked else None
    out, sums = attention_reference(qkv, keep, 0.3)
    given = attention_backward_reference(upstream(qkv), qkv, keep, out, sums, 0.3)
    torch.testing.assert_close(given, torch_gradient(upstream(qkv), qkv, keep, 0.3))


@settings(max_examples=8)
@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 40), st.integers(1, 2), st.sampled_from((16, 32))),
    cuts=st.tuples(st.sampled_from((16, 32)), st.sampled_from((16, 32, 64))),
    dtype=st.sampled_from((HALF, BRAIN, SINGLE)),
    padding=st.integers(0, 3),
    masked=st.booleans(),
)
def test_any_shape_tile_and_stride(shape, cuts, dtype, padding, masked):
    qkv, keep = padded(shape, dtype, padding, masked=masked)
    check(qkv, keep, tile=cut(shape[1], *cuts, warps=4, stages=1))
