"""Orthogonalised momentum against the singular value decomposition, and AdamW's part against AdamW."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from crossiqa_edge.model.encoder import build_encoder
from crossiqa_edge.training.muon import Muon, orthogonalised
from crossiqa_edge.training.optimisation import build_optimiser


@pytest.mark.parametrize(("shape", "dtype"), [((3, 64, 64), torch.float32), ((2, 32, 128), torch.bfloat16)])
def test_singular_values_go_to_one_and_vectors_stay(shape, dtype):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, s, vh = torch.linalg.svd(matrices, full_matrices=False)
    assert float(s.min() / s.max()) < 0.5  # there is something to do
    result = orthogonalised(matrices.to(dtype)).float()
    on_vectors = u.mT @ result @ vh.mT
    gains = on_vectors.diagonal(dim1=1, dim2=2)
    # the quintic stops between 0.7 and 1.2; what was all but zero lags
    assert float(gains.max()) < 1.3
    assert float(gains.quantile(0.1)) > 0.6
    off = on_vectors - torch.diag_embed(gains)
    assert float(off.abs().max()) < (1e-4 if dtype is torch.float32 else 0.15)


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = build_encoder("micro", view_size=32)
        for parameter in self.encoder.parameters():
            parameter.grad = torch.randn_like(parameter)


@pytest.fixture
def changed(micro):
    """Changes of the parameters by one step of each optimiser, by name."""

    def run(optimiser):
        module = Small()
        before = copy.deepcopy(module.state_dict())
        recipe = micro(optimiser=optimiser, learning_rate=0.1, weight_decay=0.0, precision="fp32")
        build_optimiser(module, recipe).step()
        assert all(parameter.grad is not None for parameter in module.parameters())
        return {name: value - before[name] for name, value in module.state_dict().items()}

    return run


def test_only_matrices_of_blocks_are_stepped_otherwise(changed):
    muon, adamw = changed("muon"), changed("adamw")
    otherwise = {name for name in muon if not torch.equal(muon[name], adamw[name])}
    assert otherwise == {name for name in muon if ".blocks." in name and muon[name].ndim == 2}


def test_each_of_three_packed_projections_is_a_matrix_of_its_own(changed):
    change = changed("muon")["encoder.blocks.0.attn.qkv.weight"]
    width = change.shape[1]
    for part in change.chunk(3):
        values = torch.linalg.svdvals(part)
        # 0.1, the rate, times 0.2 and the root of the longer side, times about 1
        assert float(values.median()) == pytest.approx(0.02 * width**0.5, rel=0.3)
    assert float(change.square().mean().sqrt()) == pytest.approx(0.02, rel=0.3)  # as AdamW's steps


@pytest.mark.parametrize("layer", ["attn.proj", "mlp.fc1", "mlp.fc2"])
def test_a_matrix_steps_as_far_as_with_adamw_whatever_its_shape(changed, layer):
    change = changed("muon")[f"encoder.blocks.0.{layer}.weight"]
    assert float(change.square().mean().sqrt()) == pytest.approx(0.02, rel=0.3)


def test_decay_shrinks_hidden_matrices():
    parameter = nn.Parameter(torch.eye(4))
    parameter.grad = torch.zeros(4, 4)
    group = {"params": [parameter], "weight_decay": 0.5, "matrices": 1}
    Muon([group], lr=0.1, betas=(0.9, 0.95), products=torch.float32).step()
    torch.testing.assert_close(parameter.detach(), 0.95 * torch.eye(4))
