"""A model of one's own from a table of opinions: frozen encoder, new head, calibration, interval, report."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from crossiqa_edge.atomic import atomic_write, write_text
from crossiqa_edge.card import ModelCard
from crossiqa_edge.data.datasets.base import QualitySet
from crossiqa_edge.errors import DatasetError
from crossiqa_edge.imaging.sampling import Views
from crossiqa_edge.model.checkpoint import check_name, load, save_model
from crossiqa_edge.model.quality import QualityModel
from crossiqa_edge.training.calibrate import (
    Intervals,
    fit_calibration,
    held_out_coverage,
    reference_quantiles,
    sigmoid,
)
from crossiqa_edge.training.feature_cache import FeatureCache, Track
from crossiqa_edge.training.frozen import (
    FOLDS,
    Features,
    Head,
    LearningCurve,
    fit_head,
    learning_curve,
    out_of_fold,
)
from crossiqa_edge.training.learning_plot import curve_png
from crossiqa_edge.training.metrics import Agreement, agreement
from crossiqa_edge.training.own_table import read_own_table

LEAST_PICTURES = 30
_LEAST_SPREAD = 1e-9  # of opinions on 0..1: means of several that are equal differ by rounding
MODEL, REPORT, CURVE = "model.safetensors", "report.json", "learning_curve.png"


@dataclass(frozen=True)
class Judged:
    """What held-out pictures say: each is scored by a head that was fitted without it.

    Attributes:
        scores: float64 (N,), 0..100.
        calibration: (slope, offset), see ``ModelCard``.
        intervals: of the scores.
        coverage: share of opinions inside intervals that were fitted without them.
        fitted: agreement of the scores with the opinions.
        start: the same of the model that was started from.
    """

    scores: npt.NDArray[np.float64]
    calibration: tuple[float, float]
    intervals: Intervals
    coverage: float
    fitted: Agreement
    start: Agreement


@dataclass(frozen=True)
class Adapted:
    """A new model and how good it is.

    Attributes:
        path: of the model.
        card: its card.
        judged: its figures.
        curve: SRCC against the number of labelled pictures.
        skipped: pictures that were left out, by key, with the reason.
        notes: what the user should know of how the table was read.
    """

    path: Path
    card: ModelCard
    judged: Judged
    curve: LearningCurve
    skipped: Mapping[str, str]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The report, JSON-ready."""
        return {
            "model": self.card.identity,
            "data": self.card.reference_set,
            "pictures": len(self.judged.scores),
            "protocol": f"frozen encoder, {FOLDS} folds by content; errors in points of 100",
            "fitted": self.judged.fitted.to_dict(),
            "start": self.judged.start.to_dict(),
            "interval_coverage": round(self.judged.coverage, 4),
            "learning_curve": self.curve.to_dict(),
            "skipped": dict(self.skipped),
            "notes": list(self.notes),
        }


def adapt(
    table: str | os.PathLike[str],
    weights: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    name: str | None = None,
    scale: tuple[float, float] | None = None,
    cache: str | os.PathLike[str] | None = None,
    seed: int = 0,
    workers: int = 2,
    track: Track = iter,
) -> Adapted:
    """Fit a head to the opinions in ``table``; write model, report and learning curve into ``out``.

    Args:
        table: CSV of pictures and opinions, see ``read_own_table``.
        weights: the model to start from.
        name: of the new model; by default that of the start and of the table.
        scale: (worst, best) of the opinions, see ``read_own_table``.
        cache: folder of the features, ``out`` by default.
        seed: of folds and splits.
        workers: threads that decode.
        track: wraps the batches of pictures, to show progress.

    Raises:
        DatasetError: the table is not usable, or has too few pictures that can be read, or too like opinions.
        ConfigError: a name that no card can hold, or a scale without extent or end.
        ArtefactError: the weights are not usable.
    """
    if name is not None:
        check_name(name)
    owned = read_own_table(table, scale)
    quality, card = load(weights)
    _check_enough(owned.quality_set, Path(table))
    found = FeatureCache(cache or out, card).features(
        _encoder(quality), owned.files, workers=workers, track=track
    )
    every = owned.quality_set.samples
    unreadable = {every[index].key: reason for index, reason in found.unreadable.items()}
    quality_set = replace(owned.quality_set, samples=tuple(every[index] for index in found.kept))
    _check_enough(quality_set, Path(table))

    start = Head(quality.head.weight[0].detach().double().numpy(), quality.head.bias[0].item())
    judged = _judge(found.rows, quality_set, start, card, seed)
    head = fit_head(found.rows, quality_set, start, seed=seed)
    curve = learning_curve(found.rows, quality_set, start, seed=seed)
    _install(quality, head)  # the calibration is the card's
    own = {"start": card.identity, "encoder": "frozen", "seed": seed, "ridge": head.strength}
    changed = _card(card, quality_set, judged, curve, own)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    written = save_model(quality, replace(changed, name=name or changed.name), folder / MODEL)
    adapted = Adapted(folder / MODEL, written, judged, curve, {**owned.missing, **unreadable}, owned.notes)
    write_text(folder / REPORT, json.dumps(adapted.to_dict(), indent=2) + "\n")
    with atomic_write(folder / CURVE) as stream:
        stream.write(curve_png(curve, quality_set.name, card.name))
    return adapted


def _check_enough(quality_set: QualitySet, table: Path) -> None:
    pictures, contents = len(quality_set), len({sample.reference for sample in quality_set.samples})
    if pictures < LEAST_PICTURES:
        raise DatasetError(
            f"{table}: {pictures} pictures can be used, {LEAST_PICTURES} are the least and a few hundred "
            "better; label more, or use the model as it is"
        )
    if contents < FOLDS:
        raise DatasetError(
            f"{table}: {contents} different contents, {FOLDS} are the least to test on new ones; add more"
        )
    if np.ptp(quality_set.scores) < _LEAST_SPREAD:
        raise DatasetError(
            f"{table}: the {pictures} pictures that can be used have one and the same opinion, so there is "
            "no order to learn; check which are missing or unreadable"
        )


def _encoder(quality: QualityModel) -> Callable[[Views], npt.NDArray[np.float32]]:
    def run(views: Views) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            features: npt.NDArray[np.float32] = quality.features(torch.from_numpy(views)).numpy()
        return features

    return run


def _judge(features: Features, quality_set: QualitySet, start: Head, card: ModelCard, seed: int) -> Judged:
    raw = out_of_fold(features, quality_set, start, seed=seed)
    opinions = quality_set.scores
    calibration = fit_calibration(raw.mean(axis=1), opinions, np.ones(len(opinions)))
    scores = _scores(raw, calibration)
    intervals = Intervals.fit(scores, 100 * opinions)
    return Judged(
        scores,
        calibration,
        intervals,
        float(held_out_coverage(scores, 100 * opinions, seed=seed).mean()),
        agreement(scores, 100 * opinions),
        agreement(_scores(start(features), card.calibration), 100 * opinions),
    )


def _scores(raw: npt.NDArray[np.float64], calibration: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Calibrated and pooled over the views as the runtime does it: (N, V) -> (N,)."""
    slope, offset = calibration
    pooled: npt.NDArray[np.float64] = 100 * sigmoid(slope * raw + offset).mean(axis=1)
    return pooled


def _install(quality: QualityModel, head: Head) -> None:
    with torch.no_grad():
        quality.head.weight[0] = torch.from_numpy(head.weights)
        quality.head.bias[0] = head.bias


def _card(
    card: ModelCard, quality_set: QualitySet, judged: Judged, curve: LearningCurve, own: Mapping[str, Any]
) -> ModelCard:
    """The start's card with all that the new head changes; the start's own figures hold no more."""
    told = f"{quality_set.name}, {len(quality_set)} pictures"
    return replace(
        card,
        name=f"{card.name}-{quality_set.name}",
        calibration=judged.calibration,
        **judged.intervals.card_values(),
        reference_set=told,
        reference_scores=reference_quantiles(judged.scores),
        training_data=(*card.training_data, f"{told} (head alone, encoder frozen)"),
        accuracy={f"{quality_set.name}, {FOLDS} folds": _figures(judged)},
        recipe={
            **card.recipe,
            "own data": {
                "data": quality_set.name,
                "pictures": len(quality_set),
                "scale": list(quality_set.native_range),
                "learning_curve": curve.to_dict(),
                **own,
            },
        },
        acceptance={},
        quantisation={},
    )


def _figures(judged: Judged) -> dict[str, float]:
    """For the card, which has no place for figures that do not exist."""
    figures = {
        "SRCC": judged.fitted.srcc,
        "PLCC": judged.fitted.plcc,
        "SRCC of the start": judged.start.srcc,
        "interval coverage": judged.coverage,
    }
    kept = {name: round(value, 4) for name, value in figures.items() if not math.isnan(value)}
    return {**kept, "pictures": len(judged.scores)}
