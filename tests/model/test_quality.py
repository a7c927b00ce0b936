import pytest
import torch

from crossiqa_edge.card import ModelCard
from crossiqa_edge.model.heads import Calibration
from crossiqa_edge.model.quality import Normalise, QualityModel


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = QualityModel(ModelCard("m", "micro")).eval()
    torch.nn.init.normal_(model.head.weight)
    return model


@pytest.fixture(scope="module")
def views():
    return torch.randint(0, 256, (3, 224, 224, 3), dtype=torch.uint8)


def test_scores_lie_within_the_scale(model, views):
    scores = model(views)
    assert scores.shape == (3,)
    assert ((scores > 0) & (scores < 100)).all()


def test_a_view_scores_alike_alone_and_in_a_batch(model, views):
    with torch.no_grad():
        torch.testing.assert_close(model(views)[1:2], model(views[1:2]), atol=1e-3, rtol=0)


def test_normalisation_uses_code_values():
    normalise = Normalise((0.5, 0.25, 0.0), (0.5, 0.25, 1.0))
    pixel = torch.tensor([255, 0, 51], dtype=torch.uint8).view(1, 1, 1, 3)
    torch.testing.assert_close(normalise(pixel).flatten(), torch.tensor([1.0, -1.0, 0.2]))


def test_calibration_never_changes_ranks():
    raw = torch.linspace(-1, 2, 50)
    assert (Calibration(3.0, -1.0)(raw).diff() > 0).all()


@torch.no_grad()
def test_the_score_depends_on_the_class_token_only(model, views, monkeypatch):
    expected = model(views)
    tokens = model.encoder.forward_features(model.normalise(views))
    tokens[:, 1:] = float("nan")
    monkeypatch.setattr(model.encoder, "forward_features", lambda pixels: tokens)
    torch.testing.assert_close(model(views), expected)


@torch.no_grad()
def test_a_network_that_has_learnt_nothing_gives_the_middle_of_the_scale(views):
    assert QualityModel(ModelCard("m", "micro")).eval()(views).tolist() == [50.0] * 3
