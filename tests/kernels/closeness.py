"""How near is near enough: kernels are held to what torch itself reaches, not to a tolerance that passed.

A kernel that computes in a short type is wrong by the nature of the type. So both the kernel and torch's
own operator in the same type are compared with a float64 reference, and the kernel may err at most twice
as much: once for the type and once for another order of summation.
"""

from __future__ import annotations

import math

import torch

SLACK = 2.0
MINIMUM_SQNR = 30.0  # dB; int8's rounding of both operands leaves 41 dB of attention on normal values


def assert_as_exact_as_torch(result: torch.Tensor, torch_result: torch.Tensor, exact: torch.Tensor) -> None:
    """Largest and root-mean-square error of ``result`` are at most twice those of ``torch_result``.

    Both are measured against ``exact`` (float64, any device). There is no floor: torch may be near by luck,
    most of all where there are few values, but a correctly rounded value is nowhere further than torch's.
    """
    assert result.shape == exact.shape, f"{tuple(result.shape)} is not {tuple(exact.shape)}"
    assert result.dtype == torch_result.dtype
    exact = exact.double()
    assert torch.isfinite(result).all(), f"{(~torch.isfinite(result)).sum()} values are not finite"
    own, torchs = result.double() - exact, torch_result.double() - exact
    for name, measure in (("largest", _largest), ("RMS", rms)):
        allowed = SLACK * measure(torchs)
        assert measure(own) <= allowed, f"{name} error {measure(own):.3g}, allowed {allowed:.3g}"


def assert_sqnr(result: torch.Tensor, exact: torch.Tensor, *, minimum: float = MINIMUM_SQNR) -> None:
    """Signal to quantisation noise of ``result`` against ``exact`` is at least ``minimum`` dB."""
    assert result.shape == exact.shape, f"{tuple(result.shape)} is not {tuple(exact.shape)}"
    ratio = sqnr(result, exact)
    assert ratio >= minimum, f"SQNR {ratio:.1f} dB, at least {minimum:g} dB wanted"


def sqnr(result: torch.Tensor, exact: torch.Tensor) -> float:
    """20 log10 of RMS(exact) over RMS(result - exact), in dB; infinite where they are equal."""
    noise = rms(result.double() - exact.double())
    return math.inf if noise == 0 else 20 * math.log10(rms(exact.double()) / noise)


def rms(values: torch.Tensor) -> float:
    return float(values.double().square().mean().sqrt()) if values.numel() else 0.0


def _largest(values: torch.Tensor) -> float:
    return float(values.abs().max()) if values.numel() else 0.0
