"""Who is crossed with whom, and that patches come back where they were."""

import pytest
import torch

from crossiqa_edge.card import ModelCard
from crossiqa_edge.model.quality import QualityModel
from crossiqa_edge.model.reconstruction import CrossReconstruction, Rebuilt


@pytest.fixture
def module():
    torch.manual_seed(0)
    quality = QualityModel(ModelCard("m", "micro", view_size=32))
    return CrossReconstruction(quality, "micro", view_size=32, energy_weight=0.1)


def test_each_cell_gets_its_own_content_and_the_other_contents_class_token(module, monkeypatch):
    """Cell (content, degradation) is rebuilt from patches (content, other) and class (other, degradation)."""
    monkeypatch.setattr(module, "decode", lambda patches, classes, side: (patches, classes))
    tags = torch.tensor([[0.0, 1.0], [10.0, 11.0]])  # ten times the content plus the degradation
    patches, classes = module.cross(tags[None, :, :, None, None].expand(1, 2, 2, 5, 3), 32)
    assert patches[:, 0, 0].tolist() == [1.0, 0.0, 11.0, 10.0]
    assert classes[:, 0].tolist() == [10.0, 11.0, 0.0, 1.0]


def test_patches_come_back_where_they_were(module, monkeypatch):
    picture = torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8)
    quadrants = [picture[:, y : y + 16, x : x + 16].flatten(1) for y in (0, 16) for x in (0, 16)]
    patches = torch.stack(quadrants, dim=1) / 255.0
    outputs = torch.cat([patches, torch.zeros(1, 4, module.energies.outputs)], dim=-1)
    monkeypatch.setattr(module.decoder, "forward", lambda *_: outputs)
    rebuilt = module.decode(torch.empty(0), torch.empty(0), 32)
    torch.testing.assert_close(rebuilt.pixels, picture / 255.0)


def test_a_perfect_rebuilding_costs_nothing(module):
    target = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    wanted = target / 255.0
    quadrants = [wanted[:, y : y + 16, x : x + 16] for y in (0, 16) for x in (0, 16)]
    energies = module.energies(torch.stack(quadrants, dim=1))
    assert module.losses(Rebuilt(wanted, energies), target) == (0.0, 0.0)
    assert module.losses(Rebuilt(wanted, energies.flip(1)), target)[1] > 0.0


def test_without_the_crossed_part_only_straight_reconstructions_are_learnt(module):
    grid = torch.randint(0, 255, (1, 2, 2, 32, 32, 3), dtype=torch.uint8)
    module.crossed_weight = 0.0
    losses = module(grid)
    wanted = 0.5 * (losses["straight"] + module.energy_weight * losses["straight_energies"])
    torch.testing.assert_close(losses["total"], wanted)
    module.crossed_weight = 1.0
    again = module(grid)
    added = again["crossed"] + module.energy_weight * again["crossed_energies"]
    torch.testing.assert_close(again["total"], wanted + added)


def test_a_straight_reconstruction_is_of_a_view_from_its_own_two_parts(module, monkeypatch):
    tags = torch.tensor([[0.0, 1.0], [10.0, 11.0]])  # ten times the content plus the degradation
    tokens = tags[None, :, :, None, None].expand(1, 2, 2, 5, module.quality.encoder.embed_dim)
    monkeypatch.setattr(module, "encode_grid", lambda grid: tokens)
    grid = torch.arange(4, dtype=torch.uint8).view(1, 2, 2, 1, 1, 1).expand(1, 2, 2, 32, 32, 3)
    made, decode = [], module.decode

    def decoded(patches, classes, side):
        rebuilt = decode(patches, classes, side)
        made.append((patches[:, 0, 0].tolist(), classes[:, 0].tolist(), rebuilt))
        return rebuilt

    monkeypatch.setattr(module, "decode", decoded)
    losses = module(grid)
    _, (patches, classes, rebuilt) = made
    assert patches == classes == [0.0, 11.0]
    expected = module.losses(rebuilt, torch.stack([grid[0, 0, 0], grid[0, 1, 1]]))
    torch.testing.assert_close((losses["straight"], losses["straight_energies"]), expected)
