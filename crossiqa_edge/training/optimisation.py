"""Optimiser, learning-rate schedule, weight averaging and numeric precision."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from crossiqa_edge.training.muon import Muon
from crossiqa_edge.training.recipe import Recipe

_BETAS = (0.9, 0.95)


def build_optimiser(
    module: nn.Module, recipe: Recipe, rates: Iterable[tuple[str, float]] = ()
) -> torch.optim.AdamW:
    """The recipe's optimiser over the trainable parameters; only matrices decay, not biases, norms or tokens.

    Args:
        rates: (name prefix, relative learning rate) pairs; the first prefix that fits wins.
    """
    groups: dict[tuple[float, float, int], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = recipe.weight_decay if parameter.squeeze().ndim >= 2 and "pos_embed" not in name else 0.0
        rate = next((factor for prefix, factor in rates if name.startswith(prefix)), 1.0)
        groups.setdefault((decay, rate, _matrices(name, parameter)), []).append(parameter)
    layout = [
        {"params": parameters, "weight_decay": decay, "relative_rate": rate, "matrices": matrices}
        for (decay, rate, matrices), parameters in groups.items()
    ]
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(layout, lr=recipe.learning_rate, betas=_BETAS)
    device = next(module.parameters()).device
    products = resolve_precision(recipe.precision, device)
    return Muon(layout, lr=recipe.learning_rate, betas=_BETAS, products=products)


def _matrices(name: str, parameter: nn.Parameter) -> int:
    """How many hidden matrices a parameter holds: see ``Muon``."""
    if ".blocks." not in name or parameter.ndim != 2:
        return 0
    return 3 if name.endswith("attn.qkv.weight") else 1


def learning_rate(step: int, recipe: Recipe) -> float:
    """Rate at ``step`` (from 0): linear warm-up, then half a cosine to zero."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    progress = (step - recipe.warmup_steps) / max(recipe.steps - recipe.warmup_steps, 1)
    return recipe.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group ``rate`` times its own relative rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["relative_rate"]


@torch.no_grad()
def update_average(average: nn.Module, module: nn.Module, decay: float, step: int) -> None:
    """Move the exponential moving average towards ``module``; early steps average over less."""
    decay = min(decay, (step + 1) / (step + 10))
    for mean, parameter in zip(average.parameters(), module.parameters(), strict=True):
        mean.lerp_(parameter.detach(), 1.0 - decay)


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """float32, or bfloat16 where it pays: ``auto`` asks whether the hardware multiplies it natively.

    On a CPU without AVX-512 BF16 or AMX, bfloat16 products are emulated and were measured some thirty
    times slower than float32.
    """
    if precision == "auto":
        native = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_multiplies_bfloat16()
        return torch.bfloat16 if native else torch.float32
    return torch.bfloat16 if precision == "bf16" else torch.float32


def _cpu_multiplies_bfloat16() -> bool:
    supported: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    capability = torch.backends.cpu.get_cpu_capability()
    return supported and capability.startswith("AVX512")


def autocast(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """Mixed precision in ``dtype``; float32 switches it off."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


def clip_gradients(module: nn.Module, largest: float) -> Tensor:
    """Scale all gradients so that their joint norm is at most ``largest``; returns the norm before."""
    return nn.utils.clip_grad_norm_(module.parameters(), largest)
