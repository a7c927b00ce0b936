"""Training with the kernels themselves, forward and backward, goes the way that it goes without them."""

import copy
from contextlib import nullcontext
from unittest.mock import patch

import torch
from interpreter import operators_interpreted
from timm.models.vision_transformer import VisionTransformer

from crossiqa_edge.kernels import attention_forward
from crossiqa_edge.kernels.accelerate import accelerate

STEPS = 20


def losses(model, context):
    """Squared errors of ``STEPS`` steps of SGD with momentum on random pictures and targets, all seeded."""
    generator = torch.Generator().manual_seed(3)
    pictures = torch.randn(STEPS, 2, 3, 32, 32, generator=generator)
    targets = torch.randn(STEPS, 2, 1, generator=generator)
    optimiser = torch.optim.SGD(model.train().parameters(), lr=0.03, momentum=0.9)
    taken = []
    for picture, target in zip(pictures, targets, strict=True):
        with context():
            loss = (model(picture) - target).square().mean()
            optimiser.zero_grad()
            loss.backward()
        optimiser.step()
        taken.append(loss.item())
    return torch.tensor(taken)


def test_twenty_steps():
    """Float32 on both sides: a step adds roundings of 1e-7, and twenty steps with momentum spread them."""
    torch.manual_seed(0)
    plain = VisionTransformer(
        img_size=32, patch_size=16, embed_dim=32, depth=1, num_heads=2, num_classes=1, init_values=0.5
    )
    fused = accelerate(copy.deepcopy(plain))
    expected = losses(plain, nullcontext)
    launch = attention_forward.launch_attention
    with patch.object(attention_forward, "launch_attention", side_effect=launch) as launched:
        given = losses(fused, operators_interpreted)
    assert launched.call_count == STEPS
    torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 0.1  # there was a path to follow
