"""Which layers may go int8 for at most a stated loss of rank correlation? Tried, layer by layer.

Every linear layer is put into int8 alone, and the scores of calibration views are compared with the float32
ones: 1 - SRCC is what it costs, its multiplications are what it buys. Layers are then taken together,
cheapest first, as many as keep the joint loss within the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.export.quantise import Quantiser
from crossiqa_edge.export.targets import Progress
from crossiqa_edge.imaging.sampling import Views
from crossiqa_edge.runtime.backend import Scores
from crossiqa_edge.training.metrics import srcc

Run = Callable[[onnx.ModelProto, Views], Scores]


@dataclass(frozen=True, slots=True)
class Layer:
    """One row of the table.

    Attributes:
        name: of the linear layer.
        multiplications: share of the multiplications of all linear layers.
        loss: 1 - SRCC with the float32 scores where this layer alone is int8.
        mean_difference: of the scores then, in points of 0..100.
        int8: whether it was chosen.
    """

    name: str
    multiplications: float
    loss: float
    mean_difference: float
    int8: bool = False


@dataclass(frozen=True, slots=True)
class Search:
    """What was found.

    Attributes:
        limit: the loss that was allowed.
        loss: the joint loss of the chosen layers on the calibration views.
        layers: every linear layer, cheapest first.
    """

    limit: float
    loss: float
    layers: tuple[Layer, ...]

    @property
    def chosen(self) -> tuple[str, ...]:
        return tuple(layer.name for layer in self.layers if layer.int8)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, as the model card keeps it."""
        rows = [
            {name: round(value, 6) if isinstance(value, float) else value for name, value in pairs.items()}
            for pairs in map(asdict, self.layers)
        ]
        return {"limit": self.limit, "loss": round(self.loss, 6), "layers": rows}


def check_limit(limit: float) -> None:
    """ConfigError unless ``limit`` is a loss of rank correlation that can be asked for."""
    if not 0 <= limit <= 1:
        raise ConfigError(f"--search: a loss of rank correlation is from 0 to 1, not {limit:g}")


def search(quantiser: Quantiser, run: Run, views: Views, limit: float, progress: Progress) -> Search:
    """Try every layer alone, then the cheapest together.

    Args:
        quantiser: of the float32 graph.
        run: scores of views by a graph.
        views: to compare on; those that calibrated the scales, so that the export is judged on others.
        limit: the largest 1 - SRCC, 0..1.
        progress: told after each trial.

    Raises:
        ConfigError: ``limit`` is not between 0 and 1, or no layer is as cheap as that, or the model's scores
            have no ranks to lose.
    """
    check_limit(limit)
    expected = run(quantiser.quantised(()), views)
    if np.ptp(expected) == 0:
        raise ConfigError("the model gives every view the same score, so there are no ranks to keep")

    def trial(layers: Collection[str]) -> tuple[float, float]:
        given = run(quantiser.quantised(layers), views)
        return 1 - srcc(given, expected), float(np.abs(given - expected).mean())

    counts = quantiser.multiplications()
    rows = []
    for index, name in enumerate(quantiser.layers):
        progress(f"trying {name}", index / len(quantiser.layers))
        rows.append(Layer(name, counts[name] / sum(counts.values()), *trial([name])))
    rows.sort(key=lambda row: (row.loss, row.mean_difference))
    progress("trying the cheapest together")
    taken, loss = _most(rows, limit, trial)
    if not taken:
        raise ConfigError(
            f"--search {limit:g}: not even the cheapest layer, {rows[0].name}, may be int8 for that: "
            f"it costs {rows[0].loss:.2g}; allow more"
        )
    layers = tuple(
        Layer(row.name, row.multiplications, row.loss, row.mean_difference, index < taken)
        for index, row in enumerate(rows)
    )
    return Search(limit, loss, layers)


def _most(
    rows: list[Layer], limit: float, trial: Callable[[Collection[str]], tuple[float, float]]
) -> tuple[int, float]:
    """How many of ``rows``, cheapest first, may be int8 together, by bisection, and their loss."""
    low, high, kept = 0, len(rows), 0.0
    while low < high:
        middle = (low + high + 1) // 2
        loss, _ = trial([row.name for row in rows[:middle]])
        if loss <= limit:
            low, kept = middle, loss
        else:
            high = middle - 1
    return low, kept
