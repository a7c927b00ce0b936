"""Evaluations of predictors whose every prediction is known by construction."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

pytest.importorskip("scipy", reason="measuring needs the train extra")

from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.errors import ConfigError, InputError
from crossiqa_edge.imaging.sampling import Frame, sample
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.training.evaluate import Loaded, Loading, evaluate, evaluate_probe, gather, pooled

SIDE = 32
BANDS = {"blur": "low", "jpeg": "high"}


def flat(value: int) -> Frame:
    """A picture whose mean is ``value``: what these tests' predictors go by."""
    return np.full((SIDE, SIDE, 3), value, np.uint8)


def unreadable() -> Frame:
    raise InputError("truncated; get the file again")


def mean_byte(frames: Sequence[Frame]) -> list[float]:
    return [float(frame.mean()) for frame in frames]


def graded(references: int = 10, *, invert: str = "", name: str = "graded") -> QualitySet:
    """Two types at five levels: opinion falls with the level, and the picture's mean byte with it.

    For the type ``invert`` the mean rises instead. Contents differ a little in both, in step.
    """
    samples = []
    for reference in range(references):
        for distortion, band in BANDS.items():
            for level in range(1, 6):
                depth = 6 - level if distortion == invert else level
                samples.append(
                    Sample(
                        key=f"{reference}:{distortion}:{level}",
                        score=1 - level / 6 + reference / 180,
                        reference=f"r{reference}",
                        load=partial(flat, 240 - 30 * depth + reference),
                        distortion=distortion,
                        level=level,
                        band=band,  # type: ignore[arg-type]
                    )
                )
    return QualitySet(name, tuple(samples), (0.0, 1.0))


def test_a_perfect_predictor() -> None:
    result = evaluate(mean_byte, graded(), model="mean", splits=4)
    assert result.overall.agreement.n == 100
    assert result.overall.agreement.srcc == pytest.approx(1)
    assert result.overall.agreement.plcc == pytest.approx(1, abs=1e-3)
    assert result.overall.agreement.rmse < 1  # of 100 points
    assert (result.overall.order.series, result.overall.order.series_right) == (20, 20)
    assert result.splits is not None and result.splits.median.srcc == pytest.approx(1)
    assert result.splits.median.n == 20


def test_groups_are_told_apart() -> None:
    result = evaluate(mean_byte, graded(invert="jpeg"))
    by_name = {group.name: group for group in (*result.bands, *result.distortions)}
    assert list(by_name) == ["low", "high", "blur", "jpeg"]
    assert by_name["blur"].agreement.srcc == pytest.approx(1)
    assert by_name["low"].agreement == by_name["blur"].agreement
    # Within jpeg contents still go in step, levels do not: 10 levels pairs of 45 differ by level alone.
    assert by_name["jpeg"].agreement.srcc < -0.9
    assert by_name["jpeg"].order.series_right == by_name["jpeg"].order.pairs_right == 0
    assert by_name["blur"].order.triples_right == by_name["blur"].order.triples == 100
    assert abs(result.overall.agreement.srcc) < 0.1
    assert (result.overall.order.pairs_right, result.overall.order.pairs) == (100, 200)


def test_rmse_is_in_points_of_the_product_scale() -> None:
    generator = np.random.default_rng(0)
    samples = [
        Sample(str(index), float(opinion), str(index), partial(flat, index % 250))
        for index, opinion in enumerate(generator.random(400))
    ]
    result = evaluate(mean_byte, QualitySet("noise", tuple(samples), (0.0, 1.0)), splits=1)
    # Opinions spread evenly over 100 points that nothing predicts: their standard deviation is 100/sqrt(12).
    assert result.overall.agreement.rmse == pytest.approx(100 / 12**0.5, rel=0.05)
    assert result.bands == result.distortions == ()


def test_a_sample_that_cannot_be_read_is_noted_and_left_out() -> None:
    whole = graded()
    broken = Sample("broken", 0.5, "r3", unreadable, "blur", 3, "low")
    small = Sample("small", 0.5, "r4", lambda: np.zeros((8, 8, 3), np.uint8), "blur", 3, "low")
    damaged = QualitySet("damaged", (broken, *whole.samples, small), (0.0, 1.0))
    result = evaluate(mean_byte, damaged, splits=2)
    assert set(result.skipped) == {"broken", "small"}
    assert "truncated" in result.skipped["broken"]
    assert result.overall.agreement == evaluate(mean_byte, whole, splits=2).overall.agreement


def test_unread_training_pictures_are_noted_too() -> None:
    broken = Sample("broken", 0.5, "r3", unreadable)
    train = QualitySet("train", (*graded().samples, broken), (0.0, 1.0))
    assert list(evaluate_probe(informative, graded(), train_set=train, splits=1).skipped) == ["train: broken"]


def test_nothing_readable_is_an_error() -> None:
    samples = tuple(Sample(str(index), 0.5, str(index), unreadable) for index in range(3))
    with pytest.raises(InputError, match=r"gone: not one of 3 pictures could be read: truncated"):
        evaluate(mean_byte, QualitySet("gone", samples, (0.0, 1.0)))


def test_predictions_follow_their_samples_whatever_the_batch() -> None:
    whole = graded(references=3)
    expected = [float(sample.load().mean()) for sample in whole.samples]
    for batch, workers in ((1, 1), (7, 4), (64, 2)):
        gathered = gather(mean_byte, whole, Loading(batch=batch, workers=workers))
        assert gathered.values.tolist() == expected
        assert gathered.quality_set.samples == whole.samples


def test_few_pictures_are_held_at_a_time() -> None:
    held, lock, peak = 0, threading.Lock(), 0

    def load() -> Frame:
        nonlocal held, peak
        with lock:
            held += 1
            peak = max(peak, held)
        return flat(9)

    def predict(frames: Sequence[Frame]) -> list[float]:
        nonlocal held
        with lock:
            held -= len(frames)
        return [0.0] * len(frames)

    samples = tuple(Sample(str(index), 0.5, str(index), load) for index in range(100))
    gather(predict, QualitySet("many", samples, (0.0, 1.0)), Loading(batch=4, workers=3))
    assert peak <= 2 * 4 + 1


def test_track_sees_every_sample() -> None:
    seen = []

    def track(loaded: Generator[Loaded, None, None], what: str, total: int) -> Generator[Loaded, None, None]:
        for item in loaded:
            seen.append((item[0].key, what, total))
            yield item

    whole = graded(references=2)
    gather(mean_byte, whole, Loading(track=track))
    assert seen == [(sample.key, "graded", 20) for sample in whole.samples]


def test_a_model_that_loses_pictures_is_caught() -> None:
    with pytest.raises(InputError, match="one row each"):
        evaluate(lambda frames: [0.0], graded())


def test_splits_are_seeded() -> None:
    noisy = partial(_noisy, np.random.default_rng(5).normal(0, 40, 256))
    one, same, other = (evaluate(noisy, graded(), splits=5, seed=seed) for seed in (1, 1, 50))
    assert one.splits == same.splits
    assert one.splits != other.splits
    assert one.overall == other.overall


def _noisy(noise: np.ndarray, frames: Sequence[Frame]) -> list[float]:
    return [float(frame[0, 0, 0]) + noise[frame[0, 0, 0]] for frame in frames]


def test_two_references_have_no_splits() -> None:
    assert evaluate(mean_byte, graded(references=2)).splits is None
    assert evaluate(mean_byte, graded(references=3)).splits is not None


def random_features(frames: Sequence[Frame]) -> np.ndarray:
    """Random but a function of the reference alone: a probe that has seen a reference knows its bias."""
    return np.stack([np.random.default_rng(int(frame[0, 0, 0]) % 30).normal(size=40) for frame in frames])


def informative(frames: Sequence[Frame]) -> np.ndarray:
    means = np.array(mean_byte(frames))
    return np.stack([np.sin(means), means, means**2 / 255], axis=1)


def test_probe_within_a_set_is_tested_on_unseen_references_only() -> None:
    result = evaluate_probe(informative, graded(), splits=3)
    assert result.overall.agreement.srcc > 0.99
    assert len(result.parts) == 3
    for part in result.parts:
        assert len({sample.reference for sample in part.samples}) == 2
    assert "linear probe" in result.protocol


def test_probe_does_not_leak_the_reference() -> None:
    """Opinion depends on the content alone, the features too: known contents would be told perfectly."""
    opinions = np.random.default_rng(0).random(30)
    samples = tuple(
        Sample(f"{reference}:{copy}", float(opinions[reference]), f"r{reference}", partial(flat, reference))
        for reference in range(30)
        for copy in range(5)
    )
    result = evaluate_probe(random_features, QualitySet("contents", samples, (0.0, 1.0)), splits=8)
    assert result.splits is not None
    assert result.splits.median.srcc < 0.6


def test_probe_across_sets() -> None:
    other = graded(references=4, name="other")
    result = evaluate_probe(informative, other, train_set=graded(), splits=2)
    assert len(result.parts) == 1
    assert result.overall.agreement.n == 40
    assert result.overall.agreement.srcc > 0.99
    assert "graded" in result.protocol and result.data == "other"
    # The scale is the opinions': a probe on inverted opinions predicts inverted.
    inverted = QualitySet(
        "inverted",
        tuple(Sample(item.key, 1 - item.score, item.reference, item.load) for item in graded().samples),
        (0.0, 1.0),
    )
    assert evaluate_probe(informative, other, train_set=inverted).overall.agreement.srcc < -0.9


def test_probe_refuses_to_test_on_what_it_trained_on() -> None:
    whole = graded()
    with pytest.raises(ConfigError, match=r"4 references .* are in training and in test"):
        evaluate_probe(informative, graded(references=4), train_set=whole)
    first = whole.where(lambda item: item.reference in ("r0", "r1"))
    rest = whole.where(lambda item: item.reference not in ("r0", "r1"))
    assert evaluate_probe(informative, first, train_set=rest, splits=1).overall.agreement.n == 20


def test_probe_needs_references_to_split() -> None:
    with pytest.raises(ConfigError, match="at least 4 references"):
        evaluate_probe(informative, graded(references=3))
    assert evaluate_probe(informative, graded(references=4), splits=1).overall.agreement.n == 10
    with pytest.raises(ConfigError, match="2 references are too few"):
        evaluate_probe(informative, graded(), train_set=graded(references=2, name="small"))


def test_bad_counts_are_refused() -> None:
    with pytest.raises(ConfigError, match="splits"):
        evaluate(mean_byte, graded(), splits=0)
    with pytest.raises(ConfigError, match="batch 0"):
        Loading(batch=0)


def test_pooled_averages_each_frames_own_views() -> None:
    frames = [np.full((448, 448, 3), value, np.uint8) for value in (10, 200)]
    frames[0][200:248, 200:248] = 70  # inside the centre window only
    scores = pooled(lambda views: views.mean(axis=(1, 2, 3)), "crops", size=224, views=5)(frames)
    bump = 60 * 48**2 / 224**2
    # The centre window sees the whole patch; each corner window ends at 224 and sees a quarter of it.
    assert scores == pytest.approx([10 + (bump + 4 * bump / 4) / 5, 200])
    features = pooled(lambda views: views.mean(axis=(1, 2)), "fragments", size=224)(frames)
    assert features.shape == (2, 3)


@pytest.mark.parametrize(("sampling", "views"), [("fragments", 1), ("fragments", 5), ("crops", 3)])
def test_pooled_is_the_mean_of_scoring_each_view(sampling: str, views: int) -> None:
    frames = [photo_like(seed, 300, 200 + 100 * seed) for seed in range(3)]
    seen: list[int] = []

    def brightness(sampled: Any) -> Any:
        seen.append(len(sampled))
        return sampled.mean(axis=(1, 2, 3))

    found = pooled(brightness, sampling, size=224, views=views)(frames)
    each = [[view.mean() for view in sample(frame, sampling, views=views)] for frame in frames]
    assert found == pytest.approx(np.mean(each, axis=1))
    assert seen == [3 * views]
