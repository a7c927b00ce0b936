import pytest
import torch

from crossiqa_edge.model.embedding import MultiLevelPatchEmbed, resized_position_embedding


@pytest.fixture
def embed():
    torch.manual_seed(0)
    return MultiLevelPatchEmbed(img_size=64, patch_size=16, embed_dim=24, levels=((2, 8), (2, 12)))


def test_equals_strided_convolutions(embed):
    """The permutation and the matrix products are the non-overlapping convolutions they stand for."""
    x = torch.randn(2, 3, 64, 64)
    expected = x
    for level, merge, width in zip(embed.levels, (2, 2, 4), (3, 8, 12), strict=True):
        kernel = level.weight.unflatten(1, (merge, merge, width)).permute(0, 3, 1, 2)
        expected = torch.nn.functional.conv2d(expected, kernel, level.bias, stride=merge)
        if level is not embed.levels[-1]:
            expected = torch.nn.functional.gelu(expected)
    torch.testing.assert_close(embed(x), expected.flatten(2).transpose(1, 2))


def test_a_token_depends_on_its_own_patch_alone(embed):
    x = torch.randn(1, 3, 64, 64)
    changed = x.clone()
    changed[:, :, 16:32, 32:48] += 1.0  # row 1, column 2 of a 4 x 4 grid
    different = (embed(x) - embed(changed)).abs().amax(dim=-1)[0] > 0
    assert different.nonzero().flatten().tolist() == [1 * 4 + 2]


def test_refuses_another_size_unless_told_otherwise(embed):
    with pytest.raises(ValueError, match="expects"):
        embed(torch.zeros(1, 3, 32, 32))
    embed.strict_img_size = False
    assert embed(torch.zeros(1, 3, 32, 48)).shape == (1, 6, 24)


def test_refuses_levels_that_do_not_divide_the_patch():
    with pytest.raises(ValueError, match="do not divide"):
        MultiLevelPatchEmbed(patch_size=16, levels=((3, 8),))


def test_position_embedding_of_the_same_grid_is_untouched():
    embedding = torch.randn(1, 1 + 16, 8)
    assert torch.equal(resized_position_embedding(embedding, (4, 4), 1), embedding)


def test_position_embedding_keeps_the_class_token_and_smooth_fields():
    ramp = torch.linspace(0, 1, 8)[:, None].expand(8, 8).reshape(1, 64, 1)
    embedding = torch.cat([torch.full((1, 1, 1), 7.0), ramp], dim=1)
    resized = resized_position_embedding(embedding, (4, 4), 1)
    assert resized[0, 0, 0] == 7.0
    rows = resized[0, 1:, 0].view(4, 4)
    assert torch.all(rows.diff(dim=0) > 0.1)
    torch.testing.assert_close(rows, rows[:, :1].expand(4, 4), atol=1e-5, rtol=0)


def test_starts_with_signals_of_unit_scale_and_an_eye_for_detail():
    """Through all levels a signal keeps its size, and a faint checkerboard counts like a strong mean."""
    from crossiqa_edge.model.encoder import build_encoder

    torch.manual_seed(0)
    embed = build_encoder("nano").patch_embed
    embed.strict_img_size = False
    with torch.no_grad():
        x = torch.randn(4, 3, 32, 32)
        assert 0.5 < embed(x).std() < 20.0
        first = embed.levels[0]
        board = torch.tensor([1.0, -1.0, -1.0, 1.0])[:, None].expand(4, 3).flatten()
        flat = torch.ones(12)
        ratio = (first.weight @ board).norm() / (first.weight @ flat).norm()
    assert 4.0 < ratio < 16.0
