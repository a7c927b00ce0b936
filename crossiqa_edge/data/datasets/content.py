"""Opinion of one degraded photograph whose original is at hand: the population's, moved by the content.

A population MOS is blind to content, and content decides much: over TID2013's references one level of blur or
of JPEG 2000 is barely seen on a smooth portrait and spoils a landscape. Full-reference measures see that. So
for each rebuilt type of TID2013 a ridge regression predicts the opinions of references 1 to 12 from three
figures: the population MOS of the level, PSNR at half size and MDSI at half size. It is an estimate, to train
on and never to measure with.

``python -m crossiqa_edge.bench.content_opinions`` makes the table and tells how good the estimates are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crossiqa_edge.data.datasets.population import population_mos
from crossiqa_edge.data.datasets.tables import number, read_csv, whole
from crossiqa_edge.data.degradations.registry import Degradation
from crossiqa_edge.data.fidelity import half_psnr, mdsi
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.imaging.sampling import Frame

COLUMNS = ("intercept", "population", "half_psnr", "mdsi", "psnr_low", "psnr_high", "mdsi_low", "mdsi_high")
_TABLE = Path(__file__).parents[1] / "tid2013_content_opinions.csv"
_RIDGE = 3.0  # in pictures, of figures scaled to a deviation of 1

Figures = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ContentRegression:
    """Opinion on 0..1 of one type of degradation.

    Attributes:
        intercept, population, half_psnr, mdsi: the regression's weights.
        psnr_low, psnr_high, mdsi_low, mdsi_high: what it was fitted within; figures beyond count as these.
    """

    intercept: float
    population: float
    half_psnr: float
    mdsi: float
    psnr_low: float
    psnr_high: float
    mdsi_low: float
    mdsi_high: float

    @classmethod
    def fit(cls, figures: Figures, opinions: Figures) -> ContentRegression:
        """From figures (N, 3) as ``content_figures`` gives them, and opinions (N,) on 0..1."""
        mean, deviation = figures.mean(axis=0), figures.std(axis=0) + 1e-9
        scaled = (figures - mean) / deviation
        shifted = scaled.T @ (opinions - opinions.mean())
        weights = np.linalg.solve(scaled.T @ scaled + _RIDGE * np.eye(3), shifted) / deviation
        (_, psnr_low, mdsi_low), (_, psnr_high, mdsi_high) = figures.min(axis=0), figures.max(axis=0)
        values = (opinions.mean() - weights @ mean, *weights, psnr_low, psnr_high, mdsi_low, mdsi_high)
        return cls(*map(float, values))

    def __call__(self, figures: Sequence[float] | Figures) -> float:
        """Opinion on 0..1 for three figures."""
        population, decibels, deviation = figures
        decibels = min(max(decibels, self.psnr_low), self.psnr_high)
        deviation = min(max(deviation, self.mdsi_low), self.mdsi_high)
        opinion = self.intercept + self.population * population
        return min(max(opinion + self.half_psnr * decibels + self.mdsi * deviation, 0.0), 1.0)

    def row(self) -> tuple[str, ...]:
        """Its values as text, in the order of ``COLUMNS``."""
        return tuple(f"{value:.6g}" for value in astuple(self))


def content_figures(
    kind: Degradation, level: int, original: Frame, picture: Frame
) -> tuple[float, float, float]:
    """Population MOS on 0..1 of the level, PSNR in dB and MDSI at half size.

    Raises:
        ConfigError: no type of KADID-10k or TID2013, or no such level.
        InputError: pictures of unlike shapes, or too small.
    """
    return population_mos(kind.name, level), half_psnr(original, picture), mdsi(original, picture)


def content_opinion(kind: Degradation, level: int, original: Frame, picture: Frame) -> float:
    """Estimated opinion on 0..1 of ``picture``: ``original`` under a type of TID2013 at our level 1..5.

    Raises:
        ConfigError: not a rebuilt type of TID2013, or no such level.
        InputError: pictures of unlike shapes, or too small.
    """
    if kind.family != "tid2013":
        raise ConfigError(f"{kind.name!r} is no type of TID2013: opinions on single pictures are not at hand")
    return regressions()[kind.number](content_figures(kind, level, original, picture))


@cache
def regressions() -> dict[int, ContentRegression]:
    """The shipped table: type number -> regression."""
    return {
        whole(row["number"], where): ContentRegression(*(number(row[name], where) for name in COLUMNS))
        for where, row in read_csv(_TABLE, ("number", *COLUMNS))
    }
