"""Attention with Q K^T in int8: its own formula to the exactness of 16 bits, the true one to 30 dB."""

from pathlib import Path

import numpy as np
import pytest
import torch
from attention_cases import TOKENS, packed, padded, torch_attention
from closeness import assert_as_exact_as_torch, assert_sqnr, sqnr
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreter import interpreted

import crossiqa_edge
from crossiqa_edge.data.degradations import get
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.imaging.sampling import sample
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.kernels import device
from crossiqa_edge.kernels.attention import attention_reference
from crossiqa_edge.kernels.attention_int8 import (
    attention_int8,
    attention_int8_reference,
    launch_attention_int8,
)
from crossiqa_edge.kernels.attention_tiles import cut, int8_tile
from crossiqa_edge.model.checkpoint import load

HALF, BRAIN = torch.float16, torch.bfloat16


def check(qkv, mask=None, tile=None):
    scale = qkv.shape[4] ** -0.5
    with interpreted():
        out = launch_attention_int8(qkv, mask, scale, tile=tile)
    exact = attention_reference(qkv.double(), mask, scale)[0]
    assert_sqnr(out, exact)
    # The rounding of Q and K is the same as the reference's; what is left is that of 16 bits, as torch's is.
    rounded = attention_int8_reference(qkv.float(), mask, scale).double()
    own = torch_attention(qkv, mask, scale).double() - exact
    assert_as_exact_as_torch(out, (rounded + own).to(out.dtype), rounded)
    return out


@pytest.mark.parametrize("dtype", [HALF, BRAIN])
@pytest.mark.parametrize("dim", [32, 64])
@pytest.mark.parametrize("tokens", TOKENS)
def test_every_length(tokens, dim, dtype):
    check(packed(3 if tokens < 100 else 1, tokens, 2 if tokens < 100 else 1, dim, dtype))


@pytest.mark.parametrize("dim", [32, 64, 128])
def test_bfloat16(dim):
    check(packed(1, 97, 1, dim, BRAIN))


def test_a_blank_frame_and_zeros():
    """Rows of zeros have a scale all the same."""
    check(packed(1, 1, 2, 32).expand(1, 97, 3, 2, 32))
    zeros = torch.zeros(1, 49, 3, 1, 32, dtype=HALF)
    with interpreted():
        assert (launch_attention_int8(zeros, None, 1.0) == 0).all()
    assert (attention_int8(zeros) == 0).all()


@pytest.mark.parametrize(
    "outlier", [(slice(None), 5), (slice(None), slice(None), 2)], ids=["token", "values"]
)
def test_outliers(outlier):
    """A thousandfold token has its own scale, so the others lose nothing; V is not quantised."""
    qkv = packed(1, 97, 1, 32)
    qkv[outlier] *= 1000
    check(qkv)


def test_masked_keys_are_not_read():
    qkv = packed(2, 70, 1, 32)
    keep = torch.ones(2, 70, dtype=torch.bool)
    keep[0, :20] = keep[1, 64:] = keep[1, 33] = False
    clean = check(qkv, keep)
    qkv[:, :, 1:][~keep] = float("nan")
    with interpreted():
        out = launch_attention_int8(qkv, keep, 32**-0.5)
    torch.testing.assert_close(out, clean, rtol=0, atol=0)
    torch.testing.assert_close(attention_int8(qkv, keep), clean, rtol=2e-3, atol=2e-3)


def test_nothing_beyond_the_last_token_is_read():
    buffer = torch.full((2, 130, 3, 2, 32), float("nan"), dtype=HALF)
    buffer[:, :49] = packed(2, 49, 2, 32)
    check(buffer[:, :49])


def test_opcheck():
    torch.library.opcheck(torch.ops.crossiqa.attention_int8.default, (packed(2, 5, 2, 32), None, 0.2))


def test_the_shipped_model_loses_little():
    """What its six layers see on degraded photographs is no harder than normal values, which keep 41 dB."""
    weights = Path(crossiqa_edge.__file__).parent / "weights" / "nano.safetensors"
    model, card = load(weights)
    photo = photo_like(0, 320, 480)
    pictures = [photo, *(get(name)(photo, 3, 0) for name in ("gaussian_blur", "jpeg", "white_noise"))]
    views = [sample(picture, card.sampling, size=card.view_size, views=1) for picture in pictures]
    seen = []
    for block in model.encoder.blocks:
        block.attn.qkv.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        model.eval()(torch.from_numpy(np.concatenate(views)))
    for packed_row in seen:
        heads = model.encoder.blocks[0].attn.num_heads
        qkv = packed_row.unflatten(2, (3, heads, -1))
        scale = qkv.shape[4] ** -0.5
        exact = attention_reference(qkv.double(), None, scale)[0]
        assert sqnr(attention_int8_reference(qkv, None, scale), exact) > 40


@pytest.mark.parametrize(
    ("qkv", "message"),
    [(packed(1, 5, 1, 32, torch.float32), "not torch.float32"), (packed(1, 5, 1, 16), "with D of 16")],
)
def test_refusals(qkv, message):
    with pytest.raises(ConfigError, match=message):
        attention_int8(qkv)


@pytest.mark.parametrize(("tokens", "dim"), [(49, 32), (97, 64), (40, 128)])
@pytest.mark.parametrize("masked", [False, True])
def test_turing_computes_the_same_bits(tokens, dim, masked, monkeypatch):
    """There int8 is multiplied as fp16: the same integers, and all that follows is the same."""
    qkv, tile = packed(2, tokens, 1, dim), int8_tile(75, tokens, dim)
    keep = (torch.arange(tokens) % 3 != 1).expand(2, tokens) if masked else None
    expected = check(qkv, keep, tile=tile)
    monkeypatch.setattr(device, "STAND_IN_ARCHITECTURE", 75)
    assert torch.equal(check(qkv, keep), expected)


@settings(max_examples=8)
@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 40), st.integers(1, 2), st.sampled_from((32, 64))),
    cuts=st.tuples(st.sampled_from((16, 32)), st.sampled_from((16, 32, 64))),
    dtype=st.sampled_from((HALF, BRAIN)),
    padding=st.integers(0, 3),
    masked=st.booleans(),
)
def test_any_shape_tile_and_stride(shape, cuts, dtype, padding, masked):
    qkv, keep = padded(shape, dtype, padding, masked=masked)
    check(qkv, keep, tile=cut(shape[1], *cuts, warps=4, stages=1))
