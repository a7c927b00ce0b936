"""``accelerate(model)``: the blocks of a timm vision transformer, computed by fused kernels.

A block becomes seven launches, and everything between them stays in the kernels' registers:

    normalised = layer_norm(x);    context = attention(linear(normalised, qkv))
    x = linear(context, projection, residual=x)         bias, LayerScale and residual in the epilogue
    normalised = layer_norm(x);    hidden = linear(normalised, fc1, "gelu")
    x = linear(hidden, fc2, residual=x)

The fused block owns the very modules of the block it replaces: parameters, their names and the state_dict
stay as they are, so that optimisers, checkpoints and training go on. On a CPU the same operators compute
their float32 references.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import torch
from timm.models.vision_transformer import Attention, Block, LayerScale, Mlp
from torch import Tensor, nn

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.kernels.attention import HEAD_DIMS, attention
from crossiqa_edge.kernels.layer_norm import layer_norm
from crossiqa_edge.kernels.linear import linear

Model = TypeVar("Model", bound=nn.Module)
Child = TypeVar("Child", bound=nn.Module)


class FusedBlock(nn.Module):
    """What ``block`` computes, from its own modules: (B, N, width) -> (B, N, width).

    ``block`` must be one that ``unfusable`` finds nothing wrong with.
    """

    attn: Attention
    mlp: Mlp
    norm1: nn.LayerNorm
    norm2: nn.LayerNorm
    ls1: nn.Module
    ls2: nn.Module

    def __init__(self, block: Block) -> None:
        super().__init__()
        for name, module in block.named_children():
            self.add_module(name, module)
        self._replaced = (block,)  # in a tuple, or it would be a child and own the parameters once more
        self.train(block.training)

    @property
    def replaced(self) -> Block:
        """The block that this one stands for."""
        return self._replaced[0]

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        """As timm's block; the fused attention of an encoder has no mask.

        Raises:
            ConfigError: a mask is given.
        """
        if attn_mask is not None or is_causal:
            raise ConfigError("fused blocks take no attention mask; restore(model) gives the plain ones back")
        batch, tokens, _ = x.shape
        attend = self.attn
        qkv = _linear(attend.qkv, _norm(self.norm1, x))
        packed = qkv.view(batch, tokens, 3, attend.num_heads, attend.head_dim)
        context = attention(packed, scale=attend.scale)
        x = _linear(attend.proj, context, scale=_scale(self.ls1), residual=x)
        hidden = _linear(self.mlp.fc1, _norm(self.norm2, x), activation="gelu")
        return _linear(self.mlp.fc2, hidden, scale=_scale(self.ls2), residual=x)


def accelerate(model: Model) -> Model:
    """Replace every timm ``Block`` inside ``model``, in place, by a ``FusedBlock``; returns ``model``.

    Raises:
        ConfigError: there is no block, or one does what the kernels do not; nothing is replaced then.
    """
    found = list(_children(model, Block))
    if not found:
        raise ConfigError("there is no timm vision transformer block to accelerate in this model")
    for _, name, block in found:
        reason = unfusable(block)
        if reason:
            raise ConfigError(f"block {name!r} cannot be accelerated: {reason}")
    for parent, name, block in found:
        setattr(parent, name, FusedBlock(block))
    return model


def restore(model: Model) -> Model:
    """Put back the blocks that ``accelerate`` replaced, with their parameters of now; returns ``model``."""
    for parent, name, fused in list(_children(model, FusedBlock)):
        fused.replaced.train(fused.training)
        setattr(parent, name, fused.replaced)
    return model


def unfusable(block: Block) -> str | None:
    """What ``block`` does that the fused one would not, or None where they compute the same."""
    attend, mlp = block.attn, block.mlp
    if type(block) is not Block or type(attend) is not Attention or type(mlp) is not Mlp:
        return f"it is made of {type(block).__name__}, {type(attend).__name__} and {type(mlp).__name__}"
    optional = (getattr(attend, "norm", None), getattr(attend, "gate", None))  # older timm has neither
    if not all(_plain_linear(layer) for layer in (attend.qkv, attend.proj, mlp.fc1, mlp.fc2)):
        return "its layers are not all torch's own Linear"
    if attend.head_dim not in HEAD_DIMS:
        return f"its heads have {attend.head_dim} elements, not {', '.join(map(str, HEAD_DIMS))}"
    if any(_has_hooks(module) for module in block.modules()):
        return "it or a part of it has hooks, which nothing would call"
    idle = (attend.q_norm, attend.k_norm, mlp.norm, block.drop_path1, block.drop_path2, *optional)
    if not all(module is None or isinstance(module, nn.Identity) for module in idle):
        return "it normalises queries and keys, gates, or drops paths"
    if any(drop.p for drop in (attend.attn_drop, attend.proj_drop, mlp.drop1, mlp.drop2)):
        return "it has dropout"
    if not (isinstance(mlp.act, nn.GELU) and mlp.act.approximate == "none"):
        return "its activation is not the exact GELU"
    if not all(_plain_norm(norm) for norm in (block.norm1, block.norm2)):
        return "its normalisation is not LayerNorm with weight and bias"
    if not all(isinstance(scale, nn.Identity | LayerScale) for scale in (block.ls1, block.ls2)):
        return "it scales its branches in another way than LayerScale"
    return None


def _plain_linear(layer: nn.Module) -> bool:
    """Whether ``layer`` computes what its weight and bias say, and not more, as an adapter does."""
    return isinstance(layer, nn.Linear) and type(layer).forward is nn.Linear.forward


def _has_hooks(module: nn.Module) -> bool:
    """Whether calling ``module`` would call something else as well: pruning computes its weights so."""
    kinds = ("forward_pre", "forward", "backward_pre", "backward")
    return any(getattr(module, f"_{kind}_hooks") for kind in kinds)


def _plain_norm(norm: nn.Module) -> bool:
    return isinstance(norm, nn.LayerNorm) and norm.weight is not None and norm.bias is not None


def _children(model: nn.Module, kind: type[Child]) -> Iterator[tuple[nn.Module, str, Child]]:
    """(parent, name, child) of every module of ``kind`` below ``model``, outermost only."""
    for name, child in model.named_children():
        if isinstance(child, kind):
            yield model, name, child
        else:
            yield from _children(child, kind)


def _norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    normalised: Tensor = layer_norm(x, norm.weight, norm.bias, norm.eps)
    return normalised


def _scale(module: nn.Module) -> Tensor | None:
    return module.gamma if isinstance(module, LayerScale) else None


def _linear(
    layer: nn.Linear | nn.Conv2d,  # timm types an MLP's layers so; ``unfusable`` lets linear ones pass
    x: Tensor,
    *,
    scale: Tensor | None = None,
    residual: Tensor | None = None,
    activation: str = "none",
) -> Tensor:
    """``layer`` with its epilogue. Under autocast operands are cast as torch's own linear casts them."""
    weight = layer.weight
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(dtype), weight.to(dtype)
    y: Tensor = linear(x, weight, layer.bias, scale, residual, activation)
    return y
