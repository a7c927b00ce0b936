"""How close the rebuilt types of TID2013 come to the release: a Markdown table.

    python -m crossiqa_edge.bench.check_rebuilt_types --kodak DIR --opinions CSV [--metrics DIR]

``--metrics`` is the release's folder ``metrics_values``: its PSNRc.txt and SSIM.txt have a figure for each
distorted picture, reference by reference, 24 types of 5 levels each. A shortened file is compared as far as
it goes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from crossiqa_edge.bench.command import Program
from crossiqa_edge.data.datasets.tid_crops import tid_reference
from crossiqa_edge.data.degradations import LEVELS, Degradation, every
from crossiqa_edge.data.fidelity import psnr, ssim
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import Frame

REFERENCES = range(1, 17)
_TYPES = 24

Figures = npt.NDArray[np.float64]  # (references, levels)


@click.command(cls=Program)
@click.option("--kodak", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--opinions", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--metrics", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(kodak: Path, opinions: Path, metrics: Path | None) -> None:
    """Print PSNR by level, its and SSIM's rank correlation with MOS, and the distance to the release."""
    originals = [tid_reference(decode(kodak / f"kodim{number:02d}.png"), number) for number in REFERENCES]
    with opinions.open(newline="") as stream:
        table = {
            tuple(int(row[key]) for key in ("reference", "type", "level")): row
            for row in csv.DictReader(stream)
        }
    click.echo(
        "| no. | type | mean PSNR, levels 1 to 5 | SRCC of PSNR | of SSIM | off in PSNR, dB | off in SSIM |"
    )
    click.echo("|---|---|---|---|---|---|---|")
    for kind in every("tid2013"):
        mos = np.array(
            [[float(table[i, kind.number, j]["mos"]) for j in kind.published_levels] for i in REFERENCES]
        )
        decibels, similarity = _measured(kind, originals)
        cells = [str(kind.number), f"`{kind.name}`", ", ".join(f"{value:.1f}" for value in decibels.mean(0))]
        cells += [f"{_srcc(figures, mos):.3f}" for figures in (decibels, similarity)]
        cells += [
            _distance(metrics, "PSNRc.txt", kind, decibels, 2),
            _distance(metrics, "SSIM.txt", kind, similarity, 3),
        ]
        click.echo("| " + " | ".join(cells) + " |")


def _measured(kind: Degradation, originals: list[Frame]) -> tuple[Figures, Figures]:
    """PSNR over R, G and B, and SSIM of the luma, of every reference and level."""

    def figures() -> Iterator[tuple[float, float]]:
        for number, original in zip(REFERENCES, originals, strict=True):
            for level in range(1, LEVELS + 1):
                made = kind(original, level, number)
                yield psnr(original, made), ssim(_studio_luma(original), _studio_luma(made))

    decibels, similarity = np.array(list(figures())).reshape(-1, LEVELS, 2).transpose(2, 0, 1)
    return decibels, similarity


def _studio_luma(frame: Frame) -> Frame:
    """The luma of MATLAB's rgb2ycbcr, 16 to 235, on which the release measures, as a grey picture."""
    luma = np.rint(16 + frame @ np.array([65.481, 128.553, 24.966]) / 255).astype(np.uint8)
    return np.repeat(luma[..., None], 3, axis=2)


def _srcc(figures: Figures, mos: Figures) -> float:
    return float(spearmanr(figures.ravel(), mos.ravel()).statistic)


def _distance(metrics: Path | None, name: str, kind: Degradation, figures: Figures, digits: int) -> str:
    """Mean absolute difference to the release over the pictures that ``name`` has a figure for."""
    if metrics is None:
        return "-"
    values = np.loadtxt(metrics / name)
    published = values[: len(values) // (_TYPES * LEVELS) * _TYPES * LEVELS].reshape(-1, _TYPES, LEVELS)
    order = np.array(kind.published_levels) - 1
    release = published[: len(figures), kind.number - 1][:, order]
    return f"{np.nanmean(np.abs(release - figures[: len(release)])):.{digits}f}"


if __name__ == "__main__":
    main()
