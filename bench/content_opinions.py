"""How well full-reference measures tell opinions of one degradation on other contents; makes the table.

    python -m crossiqa_edge.bench.content_opinions --data DIR [--table CSV]

``--data`` is the folder of the rebuilt TID2013-Kodak; references 1 to 12 are fitted, the others not opened.
Every reference is predicted by the regression of the other eleven, and so is its population MOS.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from crossiqa_edge.atomic import write_text
from crossiqa_edge.data.datasets.base import Sample
from crossiqa_edge.data.datasets.catalogue import open_set
from crossiqa_edge.data.datasets.content import COLUMNS, ContentRegression, content_figures
from crossiqa_edge.data.datasets.tid_crops import tid_reference
from crossiqa_edge.data.degradations import every, get
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import Frame

FITTED = tuple(f"kodim{number:02d}" for number in range(1, 13))
_HEAD = """\
# Regressions from the population MOS of a level, PSNR in dB and MDSI, both at half size, to an opinion on
# 0..1, for TID2013's types as rebuilt from Kodak pictures; fitted on its opinions of references 1 to 12.
# References 13 and on took no part. Made by: python -m crossiqa_edge.bench.content_opinions
# Opinions: N. Ponomarenko et al., "Image database TID2013: Peculiarities, results and perspectives",
# Signal Processing: Image Communication 30 (2015) 57-77.
"""

Figures = npt.NDArray[np.float64]


@click.command()
@click.option("--data", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--table", type=click.Path(dir_okay=False, path_type=Path), help="Write the regressions here.")
def main(data: Path, table: Path | None) -> None:
    """Print, type by type, the SRCC of population MOS and of the estimate with the opinions."""
    samples = open_set("tid-kodak", data).where(lambda item: item.reference in FITTED).samples
    originals = {
        name: tid_reference(decode(data / "kodak" / f"{name}.png"), int(name[-2:])) for name in FITTED
    }
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("number", *COLUMNS))
    click.echo("| no. | type | SRCC of population MOS | of the estimate |")
    click.echo("|---|---|---:|---:|")
    for kind in every("tid2013"):
        own = [sample for sample in samples if sample.distortion == kind.name]
        figures = np.array([_figures(sample, originals[sample.reference]) for sample in own])
        opinions = np.array([sample.score for sample in own])
        references = np.array([sample.reference for sample in own])
        rows.writerow((kind.number, *ContentRegression.fit(figures, opinions).row()))
        blind, seeing = _predicted(figures, opinions, references)
        cells = (str(kind.number), f"`{kind.name}`", _srcc(blind, opinions), _srcc(seeing, opinions))
        click.echo("| " + " | ".join(cells) + " |")
    if table is not None:
        write_text(table, _HEAD + text.getvalue())


def _figures(sample: Sample, original: Frame) -> tuple[float, float, float]:
    assert sample.distortion is not None and sample.level is not None
    return content_figures(get(sample.distortion), sample.level, original, sample.load())


def _predicted(
    figures: Figures, opinions: Figures, references: npt.NDArray[np.str_]
) -> tuple[Figures, Figures]:
    """Of every picture by the other references: the mean opinion of its level, and the estimate."""
    levels = figures[:, 0]
    blind, seeing = np.empty(len(opinions)), np.empty(len(opinions))
    for reference in set(references.tolist()):
        others = references != reference
        means = {level: opinions[others & (levels == level)].mean() for level in set(levels.tolist())}
        told = figures.copy()
        told[:, 0] = [means[level] for level in levels]  # the population without this reference
        regression = ContentRegression.fit(told[others], opinions[others])
        for index in np.flatnonzero(~others):
            blind[index], seeing[index] = told[index, 0], regression(told[index])
    return blind, seeing


def _srcc(figures: Figures, opinions: Figures) -> str:
    return f"{spearmanr(figures, opinions).statistic:.3f}"


if __name__ == "__main__":
    main()
