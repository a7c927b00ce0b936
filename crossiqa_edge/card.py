"""``ModelCard``: everything that must travel with a set of weights, inside the same file."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from typing import Any, TypeGuard

from crossiqa_edge.errors import ArtefactError

CARD_KEY = "crossiqa_card"  # the metadata key in ONNX and safetensors files
CARD_FORMAT = 1
_MAX_CARD_CHARS = 1 << 20
_MAX_NESTING = 32  # of what a card keeps unread; ours have five levels, and Python copies a few hundred


@dataclass(frozen=True)
class ModelCard:
    """The facts without which weights cannot be used, or should not be trusted.

    Attributes:
        name: what users load it by, for instance ``nano``.
        size: member of the family: nano, tiny, small or base.
        embedding: patch embedding, ``multilevel`` or ``linear``.
        view_size: side of the square uint8 views in pixels.
        sampling: default way from a picture to views, ``fragments`` or ``crops``.
        mean, std: per-channel RGB constants on the 0..1 scale, applied inside the graph.
        calibration: (slope, offset) of ``score = 100 * sigmoid(slope * raw + offset)``, inside the graph.
        interval_half_width: half width in score points that held 90 % of held-out human scores, or None.
        interval_half_widths: the same for each region of the score, from the lowest; empty where one half
            width is all there is.
        interval_edges: scores at which one region ends and the next begins, rising, one fewer than half
            widths; an edge belongs to the upper region.
        reference_set: name of the pictures that ``reference_scores`` are of; empty without any.
        reference_scores: quantiles, at evenly spaced shares from 0 to 1, of what this model gave them.
        precision: fp32, fp16 or int8.
        training_data: the sets it has seen, by the names that data sets have here.
        accuracy: measured figures, ``{data set: {metric: value}}``.
        recipe: recipe name, seed and views seen, enough to make it again.
        acceptance: how near it came to its float32 original, as ``crossiqa_edge.export.acceptance`` found.
        quantisation: how an int8 graph was made: calibration, layers left in float, the search's table.
        weights_sha256: hash of the parameters (see ``crossiqa_edge.model.checkpoint``).
        opset: ONNX opset of the graph, None for bare weights.
        licence: SPDX identifier.
        package_version: version of the package that wrote it.
    """

    name: str
    size: str
    embedding: str = "multilevel"
    view_size: int = 224
    sampling: str = "fragments"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.25, 0.25, 0.25)
    calibration: tuple[float, float] = (4.0, -2.0)
    interval_half_width: float | None = None
    interval_half_widths: tuple[float, ...] = ()
    interval_edges: tuple[float, ...] = ()
    reference_set: str = ""
    reference_scores: tuple[float, ...] = ()
    precision: str = "fp32"
    training_data: tuple[str, ...] = ()
    accuracy: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    acceptance: Mapping[str, Any] = field(default_factory=dict)
    quantisation: Mapping[str, Any] = field(default_factory=dict)
    weights_sha256: str = ""
    opset: int | None = None
    licence: str = "Apache-2.0"
    package_version: str = ""
    format: int = CARD_FORMAT

    @property
    def identity(self) -> str:
        """``name@hash``: tells two generations of the same model apart."""
        return f"{self.name}@{self.weights_sha256[:12] or 'unhashed'}"

    def interval(self, score: float) -> tuple[float, float] | None:
        """(low, high), both within 0..100, that held 90 % of held-out human scores; None without figures."""
        half = self.interval_half_width
        if self.interval_half_widths:
            half = self.interval_half_widths[bisect_right(self.interval_edges, score)]
        return None if half is None else (max(score - half, 0.0), min(score + half, 100.0))

    def percentile(self, score: float) -> float | None:
        """Share of the reference set, 0..100, that this model puts below ``score``; None without one."""
        quantiles = self.reference_scores
        if not quantiles:
            return None
        place = bisect_right(quantiles, score)
        if place == 0:
            return 0.0
        if place == len(quantiles):
            return 100.0
        below, above = quantiles[place - 1], quantiles[place]
        return 100.0 * (place - 1 + (score - below) / (above - below)) / (len(quantiles) - 1)

    def to_json(self) -> str:
        """One JSON object; keys in the order of the attributes."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, where: str = "model card") -> ModelCard:
        """Read a card; ``where`` names the file in error messages.

        Raises:
            ArtefactError: not JSON, not a card, of a newer format, or with a value of the wrong type.
        """
        if len(text) > _MAX_CARD_CHARS:
            raise ArtefactError(f"{where}: the model card is larger than 1 MiB; this is not one of ours")
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ArtefactError(f"{where}: the model card is not JSON; export the model again") from error
        if not isinstance(values, dict):
            raise ArtefactError(f"{where}: the model card is not a JSON object; export the model again")
        if values.get("format") != CARD_FORMAT:
            raise ArtefactError(
                f"{where}: card format {values.get('format')!r}, this version reads {CARD_FORMAT}; "
                "upgrade crossiqa-edge or export the model again"
            )
        known = {item.name for item in fields(cls)}
        return cls(**_checked({key: value for key, value in values.items() if key in known}, where))


def _checked(values: dict[str, Any], where: str) -> dict[str, Any]:
    """``values`` with lists turned into tuples; ArtefactError unless all types and ranges hold."""

    def number(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6

    def numbers(count: int) -> Any:
        return lambda value: isinstance(value, list) and len(value) == count and all(map(number, value))

    def rising(value: object, least: float, most: float) -> bool:
        """An empty list, or numbers within ``least``..``most``, none smaller than the one before."""
        return (
            isinstance(value, list)
            and all(number(item) and least <= item <= most for item in value)
            and all(low <= high for low, high in pairwise(value))
        )

    def text(value: object) -> bool:
        return isinstance(value, str) and len(value) < 10_000 and value.isprintable()

    def acceptance(value: object) -> bool:
        """Empty, or whether it passed, beside figures that are numbers or do not exist."""
        if not isinstance(value, dict) or (value and not isinstance(value.get("passed"), bool)):
            return False
        figures = [figure for key, figure in value.items() if key not in ("passed", "limits")]
        limits = value.get("limits", {})
        return isinstance(limits, dict) and all(
            figure is None or number(figure) for figure in [*figures, *limits.values()]
        )

    def accuracy(value: object) -> bool:
        """Figures by metric by data set."""
        return isinstance(value, dict) and all(
            text(name)
            and isinstance(figures, dict)
            and all(text(metric) and isinstance(figure, int | float) for metric, figure in figures.items())
            for name, figures in value.items()
        )

    def quantisation(value: object) -> bool:
        return _open_table(value) and isinstance(value.get("search") or {}, dict)

    rules = {
        "name": text,
        "size": text,
        "embedding": text,
        "view_size": lambda value: isinstance(value, int) and 16 <= value <= 1024,
        "sampling": lambda value: value in ("fragments", "crops"),
        "mean": numbers(3),
        "std": lambda value: numbers(3)(value) and min(value) > 0,
        "calibration": numbers(2),
        "interval_half_width": lambda value: value is None or (number(value) and 0 <= value <= 100),
        "interval_half_widths": lambda value: (
            isinstance(value, list) and all(number(item) and 0 <= item <= 100 for item in value)
        ),
        "interval_edges": lambda value: rising(value, 0, 100),
        "reference_set": text,
        "reference_scores": lambda value: rising(value, 0, 100) and len(value) != 1,
        "precision": text,
        "training_data": lambda value: isinstance(value, list) and all(map(text, value)),
        "accuracy": accuracy,
        "recipe": _open_table,
        "acceptance": acceptance,
        "quantisation": quantisation,
        "weights_sha256": text,
        "opset": lambda value: value is None or (isinstance(value, int) and 1 <= value <= 1000),
        "licence": text,
        "package_version": text,
        "format": lambda value: value == CARD_FORMAT,
    }
    for key in ("name", "size"):
        if key not in values:
            raise ArtefactError(f"{where}: the model card lacks {key!r}; export the model again")
    bad = [key for key, value in values.items() if not rules[key](value)]
    edges, regions = values.get("interval_edges", []), values.get("interval_half_widths", [])
    if not bad and len(edges) != max(len(regions) - 1, 0):  # only now are both sure to be lists
        bad = ["interval_edges"]
    if bad:
        raise ArtefactError(f"{where}: the model card has a bad {bad[0]!r}; export the model again")
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _open_table(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether ``value`` is an object of any JSON that is not nested so deeply that it cannot be copied."""
    layer = [value]
    for _ in range(_MAX_NESTING):
        inner = [
            item.values() if isinstance(item, dict) else item
            for item in layer
            if isinstance(item, dict | list)
        ]
        layer = [item for items in inner for item in items]
    return isinstance(value, dict) and not layer
