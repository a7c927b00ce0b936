"""The kernels' references, which is what a CPU runs in their place, at the shapes of nano."""

import torch

from crossiqa_edge.kernels.attention import attention_reference
from crossiqa_edge.kernels.layer_norm import layer_norm_reference
from crossiqa_edge.kernels.linear import linear_reference

TOKENS, WIDTH, HEADS = 197, 128, 4


def test_attention_reference(benchmark):
    qkv = torch.randn(1, TOKENS, 3, HEADS, WIDTH // HEADS)
    out, _ = benchmark(attention_reference, qkv, None, (WIDTH // HEADS) ** -0.5)
    assert out.shape == (1, TOKENS, WIDTH)


def test_layer_norm_reference(benchmark):
    x = torch.randn(1, TOKENS, WIDTH)
    normalised, _ = benchmark(layer_norm_reference, x, torch.ones(WIDTH), torch.zeros(WIDTH), 1e-6)
    assert normalised.shape == x.shape


def test_linear_reference(benchmark):
    x, weight = torch.randn(1, TOKENS, WIDTH), torch.randn(4 * WIDTH, WIDTH)
    out = benchmark(linear_reference, x, weight, torch.zeros(4 * WIDTH), activation="gelu")
    assert out.shape == (1, TOKENS, 4 * WIDTH)
