import pytest
import timm
import torch
from safetensors.torch import save_file

from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.model.encoder import build_encoder
from crossiqa_edge.model.initialise import initialise_encoder


def timm_vit(**options):
    """A small ViT as timm makes it, with the width and depth of our micro."""
    torch.manual_seed(1)
    shape = {"img_size": 224, "patch_size": 16, "embed_dim": 64, "depth": 2, "num_heads": 2} | options
    return timm.models.vision_transformer.VisionTransformer(num_classes=5, **shape).eval()


@pytest.fixture
def checkpoint(tmp_path):
    def write(model):
        path = tmp_path / "vit.safetensors"
        save_file(model.state_dict(), path)
        return path

    return write


def test_a_timm_checkpoint_gives_timms_own_outputs(checkpoint):
    theirs = timm_vit()
    ours = build_encoder("micro", embedding="linear").eval()
    assert initialise_encoder(ours, checkpoint(theirs)) == []
    views = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(
            ours.forward_features(views), theirs.forward_features(views), atol=1e-5, rtol=0
        )


def test_a_registered_timm_model_fits_the_tiny_member(checkpoint):
    theirs = timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=0).eval()
    ours = build_encoder("tiny", embedding="linear").eval()
    initialise_encoder(ours, checkpoint(theirs))
    views = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(
            ours.forward_features(views), theirs.forward_features(views), atol=1e-5, rtol=0
        )


def test_position_embeddings_of_another_grid_are_interpolated(checkpoint):
    theirs = timm_vit(img_size=384)
    ours = build_encoder("micro", embedding="linear")
    initialise_encoder(ours, checkpoint(theirs))
    assert ours.pos_embed.shape == (1, 197, 64)
    torch.testing.assert_close(ours.pos_embed[:, 0], theirs.pos_embed[:, 0])


def test_the_multi_level_embedding_stays_fresh_and_is_named(checkpoint):
    ours = build_encoder("micro")
    fresh = initialise_encoder(ours, checkpoint(timm_vit()))
    assert fresh
    assert all(name.startswith("patch_embed.") for name in fresh)
    torch.testing.assert_close(ours.blocks[1].mlp.fc1.weight, timm_vit().blocks[1].mlp.fc1.weight)


@pytest.mark.parametrize("other", [{"embed_dim": 96}, {"depth": 1}, {"depth": 3}])
def test_another_shape_is_refused(checkpoint, other):
    with pytest.raises(ArtefactError, match=r"give a|choose the model size|do not fit"):
        initialise_encoder(build_encoder("micro", embedding="linear"), checkpoint(timm_vit(**other)))


def test_pickled_weights_are_refused(tmp_path):
    path = tmp_path / "vit.pth"
    torch.save(timm_vit().state_dict(), path)
    with pytest.raises(ArtefactError, match="never read"):
        initialise_encoder(build_encoder("micro"), path)
