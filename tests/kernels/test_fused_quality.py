"""From bytes to score in fused operators: the scores of the plain network."""

import numpy as np
import pytest
import torch
from torch import nn

from crossiqa_edge.card import ModelCard
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.imaging.sampling import sample
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.kernels.pixels import crop_corners, fragment_corners
from crossiqa_edge.kernels.quality import FusedQuality
from crossiqa_edge.model.quality import QualityModel


def quality_model(embedding="multilevel"):
    torch.manual_seed(0)
    card = ModelCard(
        "micro-test",
        "micro",
        embedding=embedding,
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.25, 0.3),
        calibration=(3.0, -1.0),
    )
    model = QualityModel(card).eval()
    nn.init.normal_(model.head.weight, std=0.1)
    return model


def views(count=3):
    return torch.randint(
        0, 256, (count, 224, 224, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


@pytest.mark.parametrize("embedding", ["multilevel", "linear"])
def test_scores_stay_the_same(embedding):
    """float32 with another order of sums: a dozen steps of a few roundings each, on a scale of 100."""
    model = quality_model(embedding)
    fused = FusedQuality(model)
    with torch.no_grad():
        plain = model(views())
        assert plain.std() > 0.1
        torch.testing.assert_close(fused(views()), plain, rtol=1e-4, atol=1e-3)


def test_half_precision_stays_near():
    """float16 has 11 bits: two blocks leave an error of about 1e-3 of the raw score's spread."""
    model = quality_model()
    with torch.no_grad():
        plain, half = model(views()), FusedQuality(model, torch.float16)(views())
    assert half.dtype == torch.float32
    assert not torch.equal(half, plain)
    torch.testing.assert_close(half, plain, rtol=0, atol=0.5)


def test_the_model_is_left_alone_and_not_shared():
    model = quality_model()
    names = [name for name, _ in model.named_parameters()]
    fused = FusedQuality(model)
    assert [name for name, _ in model.named_parameters()] == names
    assert not {id(p) for p in fused.parameters()} & {id(p) for p in model.parameters()}
    assert not any(parameter.requires_grad for parameter in fused.parameters())


@pytest.mark.parametrize(("sampling", "count"), [("fragments", 1), ("fragments", 3), ("crops", 3)])
def test_a_frame_is_scored_where_it_lies(sampling, count):
    """The views that the sampler makes on the CPU, and the same ones read from the frame itself."""
    frame = photo_like(0, 500, 700)
    model = quality_model()
    fused = FusedQuality(model)
    sampled = torch.from_numpy(np.ascontiguousarray(sample(frame, sampling, size=224, views=count)))
    if sampling == "fragments":
        corners, tile = fragment_corners(500, 700, views=count), 32
    else:
        corners, tile = crop_corners(500, 700, count), 224
    picture = torch.from_numpy(frame)[None].expand(len(corners), -1, -1, -1)
    with torch.no_grad():
        torch.testing.assert_close(
            fused.sampled(picture, corners, tile), model(sampled), rtol=1e-4, atol=1e-3
        )


def test_views_of_another_size_are_refused():
    """Of a larger one the corner alone would be scored."""
    fused = FusedQuality(quality_model())
    for size in (200, 256):
        with pytest.raises(ConfigError, match=r"views must be \(1, 224, 224, 3\)"):
            fused(torch.zeros((1, size, size, 3), dtype=torch.uint8))


def test_torch_compile_traces_it_whole():
    fused = FusedQuality(quality_model())
    compiled = torch.compile(fused, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(views()), fused(views()))
