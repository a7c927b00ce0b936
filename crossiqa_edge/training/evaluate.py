"""Measuring against human opinion: a finished model as it is, or a linear probe on frozen features."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.errors import ConfigError, InputError
from crossiqa_edge.imaging.sampling import Frame, Views, check_frame, sample
from crossiqa_edge.training.evaluation import Evaluation, Part, Splits
from crossiqa_edge.training.linear_probe import MIN_REFERENCES, fit_probe, split_rows

Rows = npt.NDArray[np.float64]
Predict = Callable[[Sequence[Frame]], npt.ArrayLike]  # frames of any sizes -> scores (N,), higher is better
Features = Callable[[Sequence[Frame]], npt.ArrayLike]  # frames of any sizes -> features (N, D)
Loaded = tuple[Sample, Frame | InputError]
Track = Callable[[Generator[Loaded, None, None], str, int], Generator[Loaded, None, None]]


@dataclass(frozen=True)
class Loading:
    """How samples are read.

    Attributes:
        batch: pictures in one call of the model.
        workers: threads that read or make pictures while the model works.
        track: wraps the samples as they come, told what they are and how many: a progress bar.
    """

    batch: int = 16
    workers: int = 2
    track: Track = lambda loaded, what, total: loaded

    def __post_init__(self) -> None:
        if self.batch < 1 or self.workers < 1:
            raise ConfigError(f"batch {self.batch} and workers {self.workers} must both be at least 1")


@dataclass(frozen=True)
class Gathered:
    """A model's output for every sample of a set that could be read.

    Attributes:
        quality_set: the N samples that could be read.
        values: float64 (N,) scores or (N, D) features.
        skipped: key of each sample that could not, with the reason.
    """

    quality_set: QualitySet
    values: Rows
    skipped: dict[str, str]


def evaluate(
    predict: Predict,
    quality_set: QualitySet,
    *,
    model: str = "model",
    splits: int = 10,
    seed: int = 0,
    loading: Loading | None = None,
) -> Evaluation:
    """Measure a finished model.

    Args:
        predict: scores of frames, on any scale, higher is better.
        quality_set: what people thought.
        model: name for the results.
        splits: number of seeded 80/20 splits by reference; the model never sees the 80 %, but the median
            over the 20 % is what publications report.
        seed: of the first split.

    Raises:
        InputError: not one sample could be read, or a prediction is not finite.
        ConfigError: fewer than one split.
    """
    gathered = gather(predict, quality_set, loading)
    return _fixed(gathered, gathered.values, model, "model as it is", splits, seed)


def evaluate_probe(
    features: Features,
    quality_set: QualitySet,
    *,
    train_set: QualitySet | None = None,
    model: str = "model",
    splits: int = 10,
    seed: int = 0,
    loading: Loading | None = None,
) -> Evaluation:
    """Measure frozen features by a linear probe.

    Without ``train_set`` each split fits a probe on its 80 % and predicts its 20 %, and every figure is
    the median over the splits. With it one probe is fitted on that set and predicts all of
    ``quality_set``: the cross-data-set mode.

    Raises:
        InputError: as for ``evaluate``.
        ConfigError: too few references to split, or pictures shared by training and test.
    """
    if train_set is not None:
        _refuse_overlap(train_set, quality_set)
        train = gather(features, train_set, loading)
        probe = fit_probe(train.values, train.quality_set, seed=seed)
        test = gather(features, quality_set, loading)
        unread = {f"{train_set.name}: {key}": reason for key, reason in train.skipped.items()}
        test = replace(test, skipped=unread | test.skipped)
        protocol = f"linear probe trained on {train_set.name}"
        return _fixed(test, probe(test.values), model, protocol, splits, seed)
    gathered = gather(features, quality_set, loading)
    if _references(gathered.quality_set) <= MIN_REFERENCES:  # the training part is split once more
        raise ConfigError(
            f"{quality_set.name}: a linear probe needs pictures of at least {MIN_REFERENCES + 1} references; "
            "give more, or another set to train on"
        )
    parts = []
    for index, (train_rows, test_rows) in enumerate(_splits(gathered.quality_set, splits, seed)):
        probe = fit_probe(gathered.values[train_rows], _subset(gathered.quality_set, train_rows), seed=seed)
        predicted = probe(gathered.values[test_rows])
        parts.append(Part(_subset(gathered.quality_set, test_rows).samples, predicted, index))
    return Evaluation.of(
        model=model,
        data=quality_set.name,
        protocol=f"linear probe, median of {splits} splits of 80/20 by reference",
        parts=parts,
        splits=Splits.of(parts, seed),
        skipped=gathered.skipped,
    )


def pooled(
    network: Callable[[Views], npt.ArrayLike], sampling: str, *, size: int, views: int | None = None
) -> Callable[[Sequence[Frame]], Rows]:
    """``network`` of views, (V, S, S, 3) -> (V,) or (V, D), made to take frames: the mean over views."""

    def run(frames: Sequence[Frame]) -> Rows:
        sampled = [sample(frame, sampling, size=size, views=views) for frame in frames]
        values = np.asarray(network(np.concatenate(sampled)), np.float64)
        ends = np.cumsum([len(part) for part in sampled])[:-1]
        return np.stack([part.mean(axis=0) for part in np.split(values, ends)])

    return run


def gather(function: Predict | Features, quality_set: QualitySet, loading: Loading | None = None) -> Gathered:
    """Run ``function`` over a set, in order; samples that cannot be read are noted and passed over.

    Raises:
        InputError: not one sample could be read, or ``function`` gave another number of rows than frames.
    """
    loading = loading or Loading()
    kept: list[Sample] = []
    rows: list[Rows] = []
    skipped: dict[str, str] = {}
    with closing(loading.track(_loaded(quality_set, loading), quality_set.name, len(quality_set))) as loaded:
        while chunk := list(islice(loaded, loading.batch)):
            skipped |= {item.key: str(frame) for item, frame in chunk if isinstance(frame, InputError)}
            good = [(item, frame) for item, frame in chunk if not isinstance(frame, InputError)]
            if good:
                kept += [item for item, _ in good]
                rows.append(_called(function, [frame for _, frame in good]))
    if not kept:
        reason = next(iter(skipped.values()), "it has no samples")
        raise InputError(
            f"{quality_set.name}: not one of {len(quality_set)} pictures could be read: {reason}"
        )
    readable = QualitySet(quality_set.name, tuple(kept), quality_set.native_range)
    return Gathered(readable, np.concatenate(rows), skipped)


def _called(function: Predict | Features, frames: Sequence[Frame]) -> Rows:
    values = np.asarray(function(frames), np.float64)
    if values.ndim == 0 or len(values) != len(frames):
        raise InputError(
            f"the model gave {values.shape} values for {len(frames)} pictures; give one row each"
        )
    return values


def _fixed(
    gathered: Gathered,
    predicted: Rows,
    model: str,
    protocol: str,
    splits: int,
    seed: int,
) -> Evaluation:
    """The evaluation of predictions that do not depend on the split."""
    samples = gathered.quality_set.samples
    summary = None
    if _references(gathered.quality_set) >= MIN_REFERENCES:
        tests = [rows for _, rows in _splits(gathered.quality_set, splits, seed)]
        parts = [Part(_subset(gathered.quality_set, rows).samples, predicted[rows]) for rows in tests]
        summary = Splits.of(parts, seed)
    return Evaluation.of(
        model=model,
        data=gathered.quality_set.name,
        protocol=protocol,
        parts=[Part(samples, predicted)],
        splits=summary,
        skipped=gathered.skipped,
    )


def _splits(
    quality_set: QualitySet, count: int, seed: int
) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    if count < 1:
        raise ConfigError(f"splits must be at least 1, not {count}")
    return (split_rows(quality_set, seed=seed + index) for index in range(count))


def _subset(quality_set: QualitySet, rows: npt.NDArray[np.intp]) -> QualitySet:
    samples = tuple(quality_set.samples[index] for index in rows)
    return QualitySet(quality_set.name, samples, quality_set.native_range)


def _references(quality_set: QualitySet) -> int:
    return len({sample.reference for sample in quality_set.samples})


def _refuse_overlap(train_set: QualitySet, test_set: QualitySet) -> None:
    """Names of contents mean the same thing only within one data set, so only there can they be compared."""
    if train_set.name != test_set.name:
        return
    shared = {sample.reference for sample in train_set.samples} & {
        sample.reference for sample in test_set.samples
    }
    if shared:
        raise ConfigError(
            f"{test_set.name}: {len(shared)} references ({min(shared)}, …) are in training and in test alike"
        )


def _loaded(quality_set: QualitySet, loading: Loading) -> Generator[Loaded, None, None]:
    """Samples with their frames, in order, read at most one batch ahead of where they are wanted."""
    pool = ThreadPoolExecutor(loading.workers, thread_name_prefix="crossiqa-evaluate")
    waiting: deque[Future[Loaded]] = deque()
    try:
        for item in quality_set.samples:
            waiting.append(pool.submit(_load, item))
            if len(waiting) > loading.batch:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # also when the caller stops early, or Ctrl-C comes
        pool.shutdown(wait=False, cancel_futures=True)


def _load(item: Sample) -> Loaded:
    try:
        frame = item.load()
        check_frame(frame)
    except InputError as error:
        return item, error
    return item, frame
