"""On how many frames does a harmed clip score lower?

    python -m crossiqa_edge.bench.paired_clips SOUND HARMED

Both clips show the same scene, frame by frame. Exits with 1 if fewer than the share that is asked for do.
"""

from __future__ import annotations

import json
import sys

import click
import numpy as np
import numpy.typing as npt

from crossiqa_edge.bench.command import Program
from crossiqa_edge.errors import InputError
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.video.results import FrameScore


@click.command(cls=Program)
@click.argument("sound")
@click.argument("harmed")
@click.option("--model", default="nano", show_default=True, metavar="NAME|FILE")
@click.option(
    "--least", type=click.FloatRange(0, 1), default=0.95, show_default=True, help="Share of frames."
)
def main(sound: str, harmed: str, model: str, least: float) -> None:
    """Score SOUND and HARMED and print how they compare, as JSON."""
    with Scorer.load(model) as scorer:
        better, worse = scores_of(scorer, sound), scores_of(scorer, harmed)
    if len(better) != len(worse):
        raise InputError(f"{len(better)} and {len(worse)} frames; give two clips of one scene, of one length")
    share = share_lower(better, worse)
    figures = {
        "frames": len(better),
        "mean_sound": round(float(np.nanmean(better)), 2),
        "mean_harmed": round(float(np.nanmean(worse)), 2),
        "share_lower": round(share, 4),
    }
    click.echo(json.dumps(figures))
    sys.exit(0 if share >= least else 1)


def scores_of(scorer: Scorer, clip: str) -> npt.NDArray[np.float64]:
    """(N,): the score of every frame, NaN where it has none."""
    with scorer.stream(clip) as running:
        scores = [event.score for event in running if isinstance(event, FrameScore)]
    return np.array([np.nan if score is None else score for score in scores])


def share_lower(better: npt.NDArray[np.float64], worse: npt.NDArray[np.float64]) -> float:
    """Share of the frames scored in both on which ``worse`` is strictly lower.

    Raises:
        InputError: none is.
    """
    both = np.isfinite(better) & np.isfinite(worse)
    if not both.any():
        raise InputError("no frame has a score in both clips")
    return float((worse[both] < better[both]).mean())


if __name__ == "__main__":
    main()
