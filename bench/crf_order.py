"""Do pooled scores fall as a clip is compressed harder? `python -m crossiqa_edge.bench.crf_order CLIP...`

Each clip is encoded with libx264 at CRF 18, 28, 38 and 48, and every frame of the results is scored. The
table has the pooled score of each, and whether they fall strictly. Exits with 1 if those of any clip do not.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np

from crossiqa_edge.bench.command import POSITIVE, Program
from crossiqa_edge.report.movie import Movie
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.video.again import frames_between
from crossiqa_edge.video.pipeline import stream
from crossiqa_edge.video.pooling import METHODS, Pooling
from crossiqa_edge.video.report import Recorder
from crossiqa_edge.video.source import open_source

CRFS = (18, 28, 38, 48)


@click.command(cls=Program)
@click.argument("clips", nargs=-1, required=True, metavar="CLIP...")
@click.option("--model", default="nano", show_default=True, metavar="NAME|FILE")
@click.option("--pool", type=click.Choice(METHODS), default="mean", show_default=True)
@click.option("--seconds", type=POSITIVE, default=10.0, show_default=True, help="Take no more of each clip.")
def main(clips: tuple[str, ...], model: str, pool: str, seconds: float) -> None:
    """Print a Markdown table of the pooled scores of CLIP at rising CRF."""
    click.echo("| clip | " + " | ".join(f"CRF {crf}" for crf in CRFS) + " | falls |")
    click.echo("|---|" + "---|" * (len(CRFS) + 1))
    failed = 0
    with Scorer.load(model) as scorer:
        for clip in clips:
            scores = [score_at(scorer, clip, crf, Pooling(pool), seconds) for crf in CRFS]
            falls = strictly_falling(scores)
            failed += not falls
            cells = [Path(clip).name, *(f"{score:.2f}" for score in scores), "yes" if falls else "NO"]
            click.echo("| " + " | ".join(cells) + " |")
    sys.exit(1 if failed else 0)


def score_at(scorer: Scorer, clip: str, crf: int, pooling: Pooling, seconds: float) -> float:
    """Pooled score of the first ``seconds`` of ``clip`` after H.264 at ``crf``; NaN if no frame had one."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"crf{crf}.mp4"
        encode(clip, path, crf, seconds)
        recorder = Recorder()
        with closing(stream(scorer, str(path))) as running:
            for event in running:
                recorder.add(event)
    assert running.end is not None
    report = recorder.report(clip, {}, model="", backend="", end=running.end, pooling=pooling)
    return np.nan if report.pooled is None else report.pooled.score


def encode(clip: str, path: Path, crf: int, seconds: float) -> None:
    """``clip`` through libx264 at ``crf``, its frames and their times otherwise as they are."""
    with closing(open_source(clip)) as opened:
        fps = opened.facts.fps or 25.0
    with path.open("wb") as stream, Movie(stream, fps, crf=crf) as movie:
        for frame in frames_between(clip, 0.0, seconds):
            movie.write(frame.rgb(), frame.pts)


def strictly_falling(scores: Sequence[float]) -> bool:
    """Whether each score is below the one before it; False with NaN."""
    return all(after < before for before, after in pairwise(scores))


if __name__ == "__main__":
    main()
