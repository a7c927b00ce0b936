"""The embed kernels, run in the interpreter and held to the model's own modules in the same type."""

import numpy as np
import pytest
import torch
from closeness import assert_as_exact_as_torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreter import interpreted
from timm.layers.patch_embed import PatchEmbed

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.imaging.sampling import fragments
from crossiqa_edge.kernels.embed import Operands, embed, embed_reference, launch_embed
from crossiqa_edge.kernels.pixels import colour_factors, crop_corners, fragment_corners, normaliser
from crossiqa_edge.model.embedding import MultiLevelPatchEmbed

HALF, BRAIN, SINGLE, DOUBLE = torch.float16, torch.bfloat16, torch.float32, torch.float64
MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)
SIZE, TILE = 112, 16  # 49 patches, one in each tile
WIDTH = 24  # one block of columns, not filled


def module(levels, dtype=HALF, width=WIDTH):
    """The model's patch embedding, of 49 patches."""
    torch.manual_seed(0)
    if levels:
        embedding = MultiLevelPatchEmbed(SIZE, 16, 3, width, levels=((2, 16), (2, 32)))
        for level in embedding.levels:
            torch.nn.init.normal_(level.bias)
    else:
        embedding = PatchEmbed(SIZE, 16, 3, width)
    return embedding.requires_grad_(False).to(dtype)


def pictures(batch=1, height=150, width=201, *, planes=False, seed=0):
    """uint8 RGB and None, or luma and chroma."""
    random = torch.Generator().manual_seed(seed)
    if not planes:
        return torch.randint(0, 256, (batch, height, width, 3), generator=random, dtype=torch.uint8), None
    luma = torch.randint(0, 256, (batch, height, width), generator=random, dtype=torch.uint8)
    shape = (batch, -(-height // 2), -(-width // 2), 2)
    return luma, torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)


def operands(embedding, picture, chroma=None, corners=None, *, tile=TILE, prefix=True):
    """What the operator takes, for the weights of ``embedding``."""
    parts = list(embedding.levels) if isinstance(embedding, MultiLevelPatchEmbed) else [embedding.proj]
    dtype, random = parts[0].weight.dtype, torch.Generator().manual_seed(1)
    width = len(parts[-1].weight)
    if corners is None:
        corners = fragment_corners(*picture.shape[1:3], SIZE).expand(len(picture), -1, -1, -1)
    return Operands(
        picture,
        chroma,
        None if chroma is None else colour_factors("bt709", False),
        corners,
        tile,
        normaliser(MEAN, STD),
        [part.weight.flatten(1) for part in parts],
        [part.bias for part in parts],
        torch.randn(width, generator=random).to(dtype) if prefix else None,
        torch.randn(SIZE**2 // 256 + prefix, width, generator=random).to(dtype),
    )


def torch_tokens(embedding, values):
    """With the model's own modules, in their type, on the views that the reference samples."""
    raw = Operands(*values)._replace(
        weights=[torch.eye(3 * 256)],
        biases=[torch.zeros(768)],
        class_token=None,
        position=torch.zeros(49, 768),
        normaliser=torch.tensor([[1.0] * 3, [0.0] * 3]),
    )
    across = SIZE // 16
    views = embed_reference(raw).view(-1, across, across, 3, 16, 16).permute(0, 3, 1, 4, 2, 5)
    gain, offset = values.normaliser.view(2, 1, 3, 1, 1)
    dtype = values.weights[0].dtype
    tokens = embedding((views.reshape(-1, 3, SIZE, SIZE) * gain + offset).to(dtype))
    if values.class_token is not None:
        tokens = torch.cat([values.class_token.expand(len(tokens), 1, -1), tokens], 1)
    return tokens + values.position


def check(values, embedding):
    """Run the kernel; compare with float64, and the modules in the same type with float64."""
    with interpreted():
        tokens = launch_embed(values)
    wide = values._replace(
        weights=[weight.double() for weight in values.weights],
        biases=[bias.double() for bias in values.biases],
    )
    assert_as_exact_as_torch(tokens, torch_tokens(embedding, values), embed_reference(wide))
    return tokens


@pytest.mark.parametrize("levels", [True, False])
def test_the_reference_is_the_models_embedding_of_the_cpus_fragments(levels):
    embedding = module(levels, DOUBLE)
    picture, _ = pictures(2)
    views = torch.from_numpy(np.stack([fragments(one.numpy(), size=SIZE) for one in picture]))
    views = ((views / 255.0 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)
    values = operands(embedding, picture)
    expected = (
        torch.cat([values.class_token.expand(2, 1, -1), embedding(views.double())], 1) + values.position
    )
    torch.testing.assert_close(embed_reference(values), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE])
@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("levels", [True, False])
def test_every_type_and_format(levels, planes, dtype):
    embedding = module(levels, dtype)
    check(operands(embedding, *pictures(planes=planes)), embedding)


@pytest.mark.parametrize("levels", [True, False])
def test_several_views_and_blocks_of_columns(levels):
    """98 patches: a block of 16 has the last of one view and the first of the next."""
    embedding = module(levels, width=40)
    check(operands(embedding, *pictures(2)), embedding)


@pytest.mark.parametrize("levels", [True, False])
def test_without_a_class_token(levels):
    embedding = module(levels)
    check(operands(embedding, *pictures(1), prefix=False), embedding)


@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("levels", [True, False])
def test_windows_of_a_picture_that_is_smaller(levels, planes):
    """5 windows of one picture, which is expanded and not copied; reflection continues it to 112 rows."""
    embedding = module(levels)
    picture, chroma = pictures(1, 70, 150, planes=planes)
    views = [None if part is None else part.expand(2, *part.shape[1:]) for part in (picture, chroma)]
    corners = crop_corners(70, 150, 2, SIZE)
    check(operands(embedding, *views, corners, tile=SIZE), embedding)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_blank_frames(value):
    embedding = module(True)
    tokens = check(operands(embedding, torch.full((1, 112, 112, 3), value, dtype=torch.uint8)), embedding)
    assert torch.isfinite(tokens).all()


@pytest.mark.parametrize("planes", [False, True])
def test_rows_may_be_padded_as_decoders_do(planes):
    embedding = module(True)
    padded = pictures(1, 150, 256, planes=planes)
    cut = [None if part is None else part[:, :, : 200 if part is padded[0] else 100] for part in padded]
    tight = [None if part is None else part.contiguous() for part in cut]
    assert torch.equal(
        check(operands(embedding, *cut), embedding), check(operands(embedding, *tight), embedding)
    )


@pytest.mark.parametrize("levels", [True, False])
def test_only_sampled_pixels_are_read(levels):
    """Everything outside the tiles is changed, and nothing comes of it."""
    embedding = module(levels)
    picture, _ = pictures(1)
    values = operands(embedding, picture)
    other = 255 - picture
    for top, left in values.corners[0].flatten(0, 1).tolist():
        other[:, top : top + TILE, left : left + TILE] = picture[:, top : top + TILE, left : left + TILE]
    assert (other != picture).any()
    with interpreted():
        assert torch.equal(launch_embed(values), launch_embed(values._replace(picture=other)))


def test_corners_beyond_the_picture_read_its_border():
    """What a device holds cannot be checked without waiting for it; so the kernel never reads outside."""
    embedding = module(True)
    values = operands(embedding, *pictures(1))
    with interpreted():
        tokens = launch_embed(values._replace(corners=values.corners + 10_000))
    assert torch.isfinite(tokens).all()


@pytest.mark.parametrize("planes", [False, True])
def test_opcheck(planes):
    torch.library.opcheck(
        torch.ops.crossiqa.embed.default, tuple(operands(module(True), *pictures(1, planes=planes)))
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tile": 24}, "do not fit"),
        ({"position": torch.zeros(49, WIDTH)}, "49 positions do not fit"),
        ({"factors": torch.zeros(3, 4)}, "colour factors"),
        ({"picture": torch.zeros(1, 150, 201, dtype=torch.uint8)}, "RGB picture"),
        ({"biases": [torch.zeros(WIDTH)]}, "three levels|one level or three"),
        ({"weights": [torch.zeros(16, 12), torch.zeros(32, 63), torch.zeros(WIDTH, 512)]}, "join squares"),
        ({"weights": [torch.zeros(24, 12), torch.zeros(32, 96), torch.zeros(WIDTH, 512)]}, "power of two"),
        ({"weights": [torch.zeros(16, 48), torch.zeros(32, 64), torch.zeros(WIDTH, 128)]}, "2 x 2 pixels"),
        ({"corners": fragment_corners(150, 201, SIZE, views=3)}, "corners must be"),
        ({"picture": torch.zeros(1, 1, 201, 3, dtype=torch.uint8)}, "nothing to reflect"),
        ({"class_token": torch.zeros(1)}, "class_token must be"),
        ({"position": torch.zeros(50, 1)}, "position must be"),
        ({"biases": [torch.zeros(16), torch.zeros(1), torch.zeros(WIDTH)]}, "bias 1 must be"),
    ],
)
def test_refusals(change, message):
    values = operands(module(True), *pictures(1))
    with pytest.raises(ConfigError, match=message) as caught:
        embed(*values._replace(**change))
    assert "\n" not in str(caught.value)


def test_refuses_chroma_of_another_size():
    luma, chroma = pictures(1, planes=True)
    with pytest.raises(ConfigError, match="chroma must be"):
        embed(*operands(module(True), luma, chroma[:, :-1]))


@settings(max_examples=5)
@given(
    width=st.sampled_from((8, 24)),
    picture=st.tuples(st.integers(112, 160), st.integers(112, 200)),
    padding=st.integers(0, 8),
    dtype=st.sampled_from((HALF, BRAIN, SINGLE)),
    levels=st.booleans(),
    planes=st.booleans(),
    prefix=st.booleans(),
)
def test_any_shape_and_stride(width, picture, padding, dtype, levels, planes, prefix):
    """Rows of a picture are padded, as decoders do; an odd number of them has its last chroma for itself."""
    height, across = picture
    embedding = module(levels, dtype, width)
    luma, chroma = pictures(1, height, across + 2 * padding, planes=planes)
    luma, chroma = luma[:, :, :across], None if chroma is None else chroma[:, :, : -(-across // 2)]
    check(operands(embedding, luma, chroma, prefix=prefix), embedding)
