from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from crossiqa_edge.data.degradations.denoising import total_variation
from crossiqa_edge.data.degradations.pixels import to_planes
from crossiqa_edge.imaging.testpattern import photo_like

Planes = npt.NDArray[np.float32]


def objective(planes: Planes, noisy: Planes, weight: float) -> float:
    down = np.diff(planes, axis=1, append=planes[:, -1:])
    right = np.diff(planes, axis=2, append=planes[:, :, -1:])
    return float(((planes - noisy) ** 2).sum() / 2 + weight * np.hypot(down, right).sum())


@pytest.fixture(scope="module")
def noisy() -> Planes:
    planes = to_planes(photo_like(2, 64, 80))
    return planes + np.random.default_rng(0).normal(0, 0.1, planes.shape).astype(np.float32)


def test_comes_near_the_minimum(noisy: Planes, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = objective(total_variation(noisy, 0.1), noisy, 0.1)
    monkeypatch.setattr("crossiqa_edge.data.degradations.denoising.ITERATIONS", 500)
    converged = objective(total_variation(noisy, 0.1), noisy, 0.1)
    assert converged <= quick < 1.07 * converged
    assert quick < 0.6 * objective(noisy, noisy, 0.1)


def test_the_converged_picture_is_a_minimum(noisy: Planes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossiqa_edge.data.degradations.denoising.ITERATIONS", 500)
    best = total_variation(noisy, 0.1)
    for seed in range(3):
        other = best + np.random.default_rng(seed).normal(0, 0.01, best.shape).astype(np.float32)
        assert objective(best, noisy, 0.1) < objective(other, noisy, 0.1)
    assert objective(best, noisy, 0.1) < objective(0.98 * best + 0.02 * noisy, noisy, 0.1)


def test_keeps_the_mean(noisy: Planes) -> None:
    assert total_variation(noisy, 0.3).mean(axis=(1, 2)) == pytest.approx(noisy.mean(axis=(1, 2)), abs=1e-4)
