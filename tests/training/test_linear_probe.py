"""The ridge behind the linear probe, against its definition and on features with a known truth."""

from __future__ import annotations

import numpy as np
import pytest

from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.errors import ConfigError, InputError
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.training.linear_probe import STRENGTHS, fit_probe, split_rows


def blank() -> Frame:
    return np.zeros((32, 32, 3), np.uint8)


def labelled(opinions: np.ndarray, references: int) -> QualitySet:
    samples = (
        Sample(str(index), float(opinion), f"r{index % references}", blank)
        for index, opinion in enumerate(opinions)
    )
    return QualitySet("made", tuple(samples), (0.0, 1.0))


def test_weights_solve_the_penalised_normal_equations() -> None:
    generator = np.random.default_rng(0)
    rows = generator.normal(3, [1, 10, 0.1], size=(60, 3))
    quality_set = labelled(generator.random(60), 12)
    probe = fit_probe(rows, quality_set)
    # Minimum of |y - m - Zw|^2 + N * strength * |w|^2 with Z the standardised features: its gradient is 0.
    z = (rows - rows.mean(0)) / rows.std(0)
    w = probe.weights * rows.std(0)
    gradient = z.T @ (quality_set.scores - quality_set.scores.mean() - z @ w) - 60 * probe.strength * w
    assert gradient == pytest.approx(np.zeros(3), abs=1e-9)
    assert probe(rows).mean() == pytest.approx(quality_set.scores.mean())


def test_a_linear_truth_is_found_and_hardly_shrunk() -> None:
    generator = np.random.default_rng(1)
    rows = generator.normal(size=(200, 5))
    truth = np.array([0.05, -0.02, 0, 0.01, 0.03])
    probe = fit_probe(rows, labelled(0.5 + rows @ truth, 20))
    assert probe.weights == pytest.approx(truth, abs=1e-4)
    assert probe.offset == pytest.approx(0.5, abs=1e-4)
    assert probe.strength == STRENGTHS[0]


def test_noise_is_shrunk_away() -> None:
    generator = np.random.default_rng(2)
    rows = generator.normal(size=(60, 100))  # more features than samples: unpenalised it fits exactly
    probe = fit_probe(rows, labelled(generator.random(60), 20))
    assert probe.strength >= 1
    assert probe(generator.normal(size=(50, 100))).std() < 0.1


def test_features_without_meaning_are_harmless() -> None:
    generator = np.random.default_rng(3)
    signal = generator.normal(size=(50, 1))
    opinions = labelled(0.5 + 0.1 * signal[:, 0], 10)
    bare = fit_probe(signal, opinions)
    dead = fit_probe(np.hstack([signal, np.full((50, 2), 7.0)]), opinions)
    assert dead.weights == pytest.approx([*bare.weights, 0, 0])


def test_split_rows_parts_references() -> None:
    quality_set = labelled(np.linspace(0, 1, 50), 10)
    train, test = split_rows(quality_set, seed=4)
    names = [{quality_set.samples[row].reference for row in rows} for rows in (train, test)]
    assert sorted([*train, *test]) == list(range(50))
    assert (len(names[0]), len(names[1]), names[0] & names[1]) == (8, 2, set())
    assert not np.array_equal(test, split_rows(quality_set, seed=5)[1])


def test_bad_features_are_refused() -> None:
    quality_set = labelled(np.linspace(0, 1, 10), 5)
    with pytest.raises(InputError, match="do not fit 10 samples"):
        fit_probe(np.zeros((9, 2)), quality_set)
    with pytest.raises(InputError, match="not finite"):
        fit_probe(np.full((10, 2), np.nan), quality_set)
    with pytest.raises(ConfigError, match="too few"):
        fit_probe(np.zeros((10, 2)), labelled(np.linspace(0, 1, 10), 2))
