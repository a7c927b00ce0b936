"""How well everything agrees with human opinion: ``python -m crossiqa_edge.bench.accuracy --help``.

Measures our models, frozen encoders, classical metrics and full-reference yardsticks on the same pictures,
and adds rows to ``FOLDER/figures.jsonl`` for ``accuracy_page``. Scores and decoded pictures are kept in
``--cache``: a run with new weights works out theirs only.

ROOT holds ``photos/``, ``kodak/``, ``opinions/``, ``livec/`` and ``clips/``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from crossiqa_edge.bench.accuracy_columns import Column, Store, encoders, model, peers, yardsticks
from crossiqa_edge.bench.accuracy_plots import draw
from crossiqa_edge.bench.accuracy_pretext import reconstruction
from crossiqa_edge.bench.accuracy_probes import probe_rows, split_row
from crossiqa_edge.bench.accuracy_rows import (
    FIGURES,
    Row,
    agreement_row,
    append,
    difference_row,
    fact_row,
    known,
)
from crossiqa_edge.bench.accuracy_sets import Corpus, corpora
from crossiqa_edge.bench.crf_order import CRFS, score_at
from crossiqa_edge.errors import CrossIQAError, OutputError
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.video.pooling import Pooling

_CLIP_SECONDS = 4.0


def measure(options: argparse.Namespace) -> None:
    """Work out what is not known yet and add it to the rows.

    Raises:
        CrossIQAError: a set, model or run that is not there, or a folder that cannot be written.
    """
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{options.out}: no folder for results ({error.strerror}); choose another"
        ) from error
    results = options.out / FIGURES
    store = Store(options.cache / "figures")
    worlds = corpora(options.data, options.cache)
    models = [model(name) for name in options.model]
    others = [*peers(), *yardsticks()]
    for column in [*models, *others]:
        _add(results, column, worlds, store)
    for ours in models:
        _add_differences(results, ours, [column for column in others if column.role == "peer"], worlds, store)
    for encoder in encoders(options.model[0], options.pretext):
        _add_probes(results, encoder, worlds, store)
        if encoder.name == "pretext alone" and not known(results, "reconstruction", encoder):
            pictures = sorted((options.data / "kodak").glob("*.png"))
            append(
                results, fact_row("reconstruction", encoder, types=reconstruction(options.pretext, pictures))
            )
    if not known(results, "video", models[0]):
        append(results, _video_row(models[0], options.model[0], options.data / "clips"))
    draw(options.out, models[0], others, worlds, store)


def _add(results: Path, column: Column, worlds: Sequence[Corpus], store: Store) -> None:
    for world in worlds:
        if column.role == "full reference" and world.test.original is None:
            continue
        if not known(results, "agreement", column, set_digest=world.test.digest):
            append(results, agreement_row(column, world, store(column, world.test)))


def _add_differences(
    results: Path, ours: Column, others: Sequence[Column], worlds: Sequence[Corpus], store: Store
) -> None:
    for world in worlds:
        for peer in others:
            about = {"set_digest": world.test.digest, "peer_digest": peer.digest}
            if not known(results, "difference", ours, **about):
                values = (store(column, world.test) for column in (ours, peer))
                append(results, difference_row(ours, peer, world, *values))


def _add_probes(results: Path, encoder: Column, worlds: Sequence[Corpus], store: Store) -> None:
    if known(results, "splits", encoder):  # the last of its rows
        return
    for row in probe_rows(encoder, worlds, store):
        append(results, row)
    for world in worlds:
        if world.key == "authentic":
            append(results, split_row(encoder, world, store))


def _video_row(column: Column, name: str, clips: Path) -> Row:
    """Pooled scores of each clip at rising CRF."""
    with Scorer.load(name) as scorer:
        scores = dict(_clip_scores(scorer, clips))
    return fact_row("video", column, crfs=list(CRFS), seconds=_CLIP_SECONDS, clips=scores)


def _clip_scores(scorer: Scorer, clips: Path) -> Iterator[tuple[str, list[float]]]:
    for clip in sorted(clips.glob("*.mp4")):
        scores = [score_at(scorer, os.fspath(clip), crf, Pooling("mean"), _CLIP_SECONDS) for crf in CRFS]
        yield clip.stem, [round(score, 2) for score in scores]


def _options(arguments: Sequence[str] | None) -> Any:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, metavar="ROOT", help="folder of all the sets")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for rows and plots")
    parser.add_argument("--cache", type=Path, required=True, metavar="FOLDER", help="for pictures and scores")
    parser.add_argument(
        "--model",
        nargs="+",
        default=["nano", "nano-int8"],
        metavar="NAME|FILE",
        help="the float32 model first, then the same in other precisions (default: nano nano-int8)",
    )
    parser.add_argument("--pretext", type=Path, metavar="RUN", help="folder of a pre-training run")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        measure(_options(arguments))
    except CrossIQAError as error:
        print(f"accuracy: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
