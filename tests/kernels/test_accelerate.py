"""An accelerated model is the same model: same names, same scores, same training."""

import copy
from functools import partial

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.nn.utils import prune

from crossiqa_edge.card import ModelCard
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.kernels.accelerate import FusedBlock, accelerate, restore, unfusable
from crossiqa_edge.kernels.portable import spelt_out
from crossiqa_edge.model.quality import QualityModel

# float32 throughout: what differs is the order of sums, a few roundings of 6e-8 in each of a dozen steps.
SCORES = {"rtol": 1e-4, "atol": 1e-3}  # of 100


def encoder(**values):
    torch.manual_seed(0)
    return VisionTransformer(
        **{
            "img_size": 32,
            "patch_size": 16,
            "embed_dim": 64,
            "depth": 2,
            "num_heads": 2,
            "num_classes": 0,
            **values,
        }
    ).eval()


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = QualityModel(ModelCard("micro-test", "micro")).eval()
    nn.init.normal_(model.head.weight, std=0.1)
    return model


@pytest.fixture
def views():
    return torch.randint(
        0, 256, (3, 224, 224, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


def blocks(model):
    return [module for module in model.modules() if isinstance(module, FusedBlock)]


def test_scores_stay_the_same(model, views):
    with torch.no_grad():
        plain = model(views)
        fused = accelerate(model)(views)
    assert len(blocks(model)) == 2
    assert plain.std() > 0.1
    torch.testing.assert_close(fused, plain, **SCORES)


def test_parameters_keep_their_names_order_and_identity(model):
    before = dict(model.named_parameters())
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    accelerate(model)
    after = dict(model.named_parameters())
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
    assert list(model.state_dict()) == list(state)
    model.load_state_dict(state)


def test_restoring_gives_the_very_blocks_back_with_what_was_learnt_since(model, views):
    originals = list(model.encoder.blocks)
    accelerate(model)
    with torch.no_grad():
        model.encoder.blocks[0].mlp.fc1.weight.add_(0.1)
        fused = model(views)
        plain = restore(model)(views)
    assert all(now is then for now, then in zip(model.encoder.blocks, originals, strict=True))
    assert not blocks(model)
    torch.testing.assert_close(fused, plain, **SCORES)


def test_accelerating_twice_is_accelerating_once(model):
    accelerate(model)
    with pytest.raises(ConfigError, match="no timm vision transformer block"):
        accelerate(model)
    restore(model)
    assert len(blocks(accelerate(model))) == 2


def test_a_copy_is_independent(model, views):
    copied = copy.deepcopy(accelerate(model))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        scores = copied(views)
        torch.testing.assert_close(restore(copied)(views), scores, **SCORES)
    assert scores.std() > 0.1


def test_training_mode_follows(model):
    accelerate(model.train())
    assert model.encoder.blocks[0].training
    model.eval()
    assert not restore(model).encoder.blocks[0].training


def test_layer_scale_is_fused_too():
    model = encoder(init_values=0.3)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        plain = model(x)
        torch.testing.assert_close(accelerate(model)(x), plain, rtol=1e-4, atol=1e-5)


def test_blocks_without_biases_are_fused_too():
    model = encoder(qkv_bias=False, proj_bias=False)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        plain = model(x)
        torch.testing.assert_close(accelerate(model)(x), plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"qk_norm": True}, "normalises queries"),
        ({"drop_path_rate": 0.1}, "drops paths"),
        ({"proj_drop_rate": 0.1}, "dropout"),
        ({"attn_drop_rate": 0.1}, "dropout"),
        ({"act_layer": partial(nn.GELU, approximate="tanh")}, "exact GELU"),
        ({"act_layer": nn.ReLU}, "exact GELU"),
        ({"norm_layer": nn.Identity}, "not LayerNorm"),
        ({"norm_layer": partial(nn.LayerNorm, bias=False)}, "not LayerNorm"),
    ],
)
def test_blocks_that_compute_something_else_are_refused_and_nothing_changes(values, reason):
    model = encoder(**values)
    with pytest.raises(
        ConfigError, match=rf"block '1' cannot be accelerated: .*{reason}|block '0'.*{reason}"
    ):
        accelerate(model)
    assert not blocks(model)


@pytest.mark.parametrize("dim", [16, 24, 128])
def test_heads_that_attention_does_not_take_are_refused_before_anything_is_replaced(dim):
    model = encoder(embed_dim=2 * dim)
    if dim == 24:
        with pytest.raises(ConfigError, match="its heads have 24 elements, not 16, 32, 64, 128"):
            accelerate(model)
    else:
        accelerate(model)(torch.randn(1, 3, 32, 32))


class Adapted(nn.Linear):
    """A layer that adds something of its own, as adapters do."""

    def forward(self, x):
        return super().forward(x) + 1.0


@pytest.mark.parametrize("path", ["attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"])
def test_layers_that_add_something_are_refused(path):
    model = encoder()
    layer = model.blocks[1].get_submodule(path)
    model.blocks[1].set_submodule(path, Adapted(layer.in_features, layer.out_features))
    with pytest.raises(ConfigError, match=r"block '1' cannot be accelerated: .*torch's own Linear"):
        accelerate(model)
    assert not blocks(model)


def test_parametrised_layers_are_fused_with_what_they_are_now():
    model = encoder()
    nn.utils.parametrizations.weight_norm(model.blocks[0].mlp.fc1)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        model.blocks[0].mlp.fc1.parametrizations.weight.original0.mul_(2.0)
        plain = model(x)
        torch.testing.assert_close(accelerate(model)(x), plain, rtol=1e-4, atol=1e-5)


def test_pruned_layers_are_refused():
    """A hook computes their weights before each call, and fused blocks call no layer."""
    model = encoder()
    prune.l1_unstructured(model.blocks[0].mlp.fc1, "weight", 0.5)
    with pytest.raises(ConfigError, match=r"block '0' cannot be accelerated: .*hooks"):
        accelerate(model)


@pytest.mark.parametrize(
    "register",
    ["register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"],
)
def test_hooks_are_not_dropped_without_a_word(register):
    model = encoder()
    handle = getattr(model.blocks[0].attn, register)(lambda *values: None)
    with pytest.raises(ConfigError, match="hooks"):
        accelerate(model)
    handle.remove()
    assert len(blocks(accelerate(model))) == 2


def test_a_model_without_blocks_is_refused():
    with pytest.raises(ConfigError, match="no timm vision transformer block"):
        accelerate(nn.Linear(3, 3))


def test_masks_are_refused():
    block = accelerate(encoder()).blocks[0]
    with pytest.raises(ConfigError, match="no attention mask"):
        block(torch.randn(1, 5, 64), attn_mask=torch.ones(5, 5))


def test_plain_blocks_have_no_obstacle():
    assert unfusable(encoder().blocks[0]) is None


def losses(model, steps=20, seed=3):
    """Squared errors of ``steps`` steps of AdamW on random views and targets, all seeded."""
    generator = torch.Generator().manual_seed(seed)
    views = torch.randint(0, 256, (steps, 4, 48, 48, 3), dtype=torch.uint8, generator=generator)
    targets = torch.rand(steps, 4, generator=generator)
    optimiser = torch.optim.AdamW(model.train().parameters(), lr=1e-3)
    taken = []
    for view, target in zip(views, targets, strict=True):
        loss = (model.raw(view) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        taken.append(loss.item())
    return torch.tensor(taken)


def test_training_goes_the_same_way(model):
    """20 steps: single gradients agree to 1e-5, and AdamW's sign-like steps let the paths part slowly."""
    fused = accelerate(copy.deepcopy(model))
    plain_losses, fused_losses = losses(model), losses(fused)
    torch.testing.assert_close(fused_losses, plain_losses, rtol=1e-2, atol=1e-4)
    torch.testing.assert_close(fused_losses[:2], plain_losses[:2], rtol=1e-4, atol=1e-6)
    assert plain_losses[1:].std() > 1e-3  # there was a path to follow


def test_every_parameter_gets_the_same_gradient(model, views):
    fused = accelerate(copy.deepcopy(model))
    for each in (model, fused):
        each(views).sum().backward()
    for (name, plain), other in zip(model.named_parameters(), fused.parameters(), strict=True):
        torch.testing.assert_close(
            other.grad, plain.grad, rtol=1e-3, atol=1e-4 * float(plain.grad.abs().max()) + 1e-7, msg=name
        )


def test_autocast_computes_products_in_the_short_type(model, views):
    accelerate(model)
    with torch.no_grad():
        exact = model(views)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            short = model(views)
    assert not torch.equal(short, exact)
    torch.testing.assert_close(short.float(), exact, rtol=0, atol=2.0)  # bfloat16 has 8 bits


def test_torch_export_keeps_the_operators_and_any_batch(model, views):
    accelerate(model)
    vars(model.encoder)["dynamic_img_size"] = False
    vars(model.encoder.patch_embed)["flatten"] = True
    program = torch.export.export(
        model, (views,), dynamic_shapes={"views": {0: torch.export.Dim("batch", min=1)}}
    )
    operators = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert {
        "crossiqa.attention.default",
        "crossiqa.linear.default",
        "crossiqa.layer_norm.default",
    } <= operators
    with torch.no_grad():
        torch.testing.assert_close(program.module()(views[:1]), model(views[:1]), **SCORES)


def test_on_a_gpu_too_torch_export_allows_any_batch(model, views, monkeypatch):
    """Tensors claim to lie on one; exporting runs no kernel."""
    accelerate(model)
    vars(model.encoder)["dynamic_img_size"] = False
    vars(model.encoder.patch_embed)["flatten"] = True
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    batch = {"views": {0: torch.export.Dim("batch", min=1)}}
    torch.export.export(model, (views,), dynamic_shapes=batch)


def test_torch_compile_traces_it_whole(model, views):
    accelerate(model)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(views), model(views), **SCORES)


def test_onnx_export_gives_the_same_scores(model, views):
    onnxruntime = pytest.importorskip("onnxruntime")
    accelerate(model)
    vars(model.encoder)["dynamic_img_size"] = False
    vars(model.encoder.patch_embed)["flatten"] = True
    batch = {"views": {0: torch.export.Dim("batch", min=1)}}
    program = spelt_out(torch.export.export(model, (views,), dynamic_shapes=batch))
    made = torch.onnx.export(program, dynamo=True, verbose=False, opset_version=18).model_proto
    assert {node.domain for node in made.graph.node} == {""}
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {session.get_inputs()[0].name: views[:2].numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(scores), model(views[:2]), **SCORES)
