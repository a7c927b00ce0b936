import pytest
import torch

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.model.encoder import build_encoder
from crossiqa_edge.model.family import FAMILY


@pytest.mark.parametrize(
    ("size", "millions"), [("nano", 1.36), ("tiny", 5.6), ("small", 22.0), ("base", 86.5)]
)
def test_sizes_of_the_family(size, millions):
    with torch.device("meta"):
        encoder = build_encoder(size)
    parameters = sum(parameter.numel() for parameter in encoder.parameters())
    assert parameters / 1e6 == pytest.approx(millions, rel=0.03)
    assert FAMILY[size].head_dim in (32, 64)


def test_class_token_first_then_patches():
    encoder = build_encoder("micro").eval()
    tokens = encoder.forward_features(torch.randn(2, 3, 224, 224))
    assert tokens.shape == (2, 1 + 14 * 14, 64)


def test_takes_smaller_views():
    encoder = build_encoder("micro").eval()
    assert encoder.forward_features(torch.randn(1, 3, 112, 112)).shape == (1, 1 + 49, 64)


@pytest.mark.parametrize("wrong", [{"size": "huge"}, {"embedding": "fourier"}])
def test_unknown_names_are_refused_with_the_known_ones(wrong):
    with pytest.raises(ConfigError, match="choose from"):
        build_encoder(**wrong)
