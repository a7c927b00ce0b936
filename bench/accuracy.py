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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossiqa_edge.bench.accuracy_columns import Column, Store, coverage, encoders, model, peers, yardsticks
from crossiqa_edge.bench.accuracy_plots import draw
from crossiqa_edge.bench.accuracy_pretext import reconstruction
from crossiqa_edge.bench.accuracy_probes import probe_rows, split_row
from crossiqa_edge.bench.accuracy_rows import (
    FIGURES,
    MORE_VIEWS,
    agreement_row,
    difference_row,
    fact_row,
    known,
)
from crossiqa_edge.bench.accuracy_sets import Corpus, corpora
from crossiqa_edge.bench.crf_order import CRFS, score_at
from crossiqa_edge.bench.jsonl import Row, append
from crossiqa_edge.errors import CrossIQAError, OutputError
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.video.pooling import Pooling

_CLIP_SECONDS = 4.0
PARTS = ("models", "peers", "yardsticks", "encoders", "video")


@dataclass(frozen=True)
class Measuring:
    """One run: what is measured on what, and where the rows go.

    Attributes:
        options: of the command line.
        worlds: the corpora.
        store: figures that are known already.
        models: ours; the first is the float32 one.
    """

    options: argparse.Namespace
    worlds: tuple[Corpus, ...]
    store: Store
    models: tuple[Column, ...]

    @property
    def results(self) -> Path:
        return Path(self.options.out) / FIGURES

    def run(self) -> None:
        """Work out what is asked for and not known yet."""
        parts: Sequence[str] = self.options.part
        rivals = list(peers()) if "peers" in parts else []
        others = [*rivals, *(yardsticks() if "yardsticks" in parts else ())]
        more = [model(self.options.model[0], count) for count in MORE_VIEWS]
        for column in [*((*self.models, *more) if "models" in parts else ()), *others]:
            self._agreements(column)
        if "models" in parts and "peers" in parts:
            for ours in self.models:
                self._differences(ours, rivals)
            draw(self.options.out, self.models[0], rivals, self.worlds, self.store)
        if "models" in parts and not known(self.results, "coverage", self.models[0]):
            sets = coverage(self.options.model[0])
            append(self.results, fact_row("coverage", self.models[0], sets=sets))
        if "encoders" in parts:
            for encoder in encoders(self.options.model[0], self.options.pretext):
                self._probes(encoder)
        if "video" in parts and not known(self.results, "video", self.models[0]):
            append(
                self.results, _video_row(self.models[0], self.options.model[0], self.options.data / "clips")
            )

    def _agreements(self, column: Column) -> None:
        for world in self.worlds:
            if column.role == "full reference" and world.test.original is None:
                continue
            if not known(self.results, "agreement", column, set_digest=world.test.digest):
                append(self.results, agreement_row(column, world, self.store(column, world.test)))

    def _differences(self, ours: Column, rivals: Sequence[Column]) -> None:
        for world in self.worlds:
            for peer in rivals:
                about = {"set_digest": world.test.digest, "peer_digest": peer.digest}
                if not known(self.results, "difference", ours, **about):
                    values = (self.store(column, world.test) for column in (ours, peer))
                    append(self.results, difference_row(ours, peer, world, *values))

    def _probes(self, encoder: Column) -> None:
        pairs = [
            {"trained_on": learnt.key, "set_digest": judged.test.digest}
            for learnt in self.worlds
            for judged in self.worlds
        ]
        if not all(known(self.results, "agreement", encoder, **pair) for pair in pairs):
            append(self.results, *probe_rows(encoder, self.worlds, self.store))
        # a fine-tuned encoder has seen opinions of four fifths of the pictures that the splits judge
        if not encoder.name.endswith("fine-tuned") and not known(self.results, "splits", encoder):
            append(self.results, split_row(encoder, self.worlds[-1], self.store))
        if encoder.name.endswith("pretext alone") and not known(self.results, "reconstruction", encoder):
            pictures = sorted((self.options.data / "kodak").glob("*.png"))
            types = reconstruction(self.options.pretext, pictures)
            append(self.results, fact_row("reconstruction", encoder, types=types))


def measure(options: argparse.Namespace) -> None:
    """Work out what is not known yet and add it to the rows.

    Raises:
        CrossIQAError: a set, model or run that is not there, or a folder that cannot be written.
    """
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{options.out}: no folder for results ({error.strerror})") from error
    models = tuple(map(model, options.model))
    worlds = corpora(options.data, options.cache)
    Measuring(options, worlds, Store(options.cache / "figures"), models).run()


def _video_row(column: Column, name: str, clips: Path) -> Row:
    """Pooled scores of each clip at rising CRF."""
    with Scorer.load(name, backend="onnxruntime") as scorer:  # the same on every machine
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
        help="a float32 model first, then the same in other precisions (default: nano nano-int8)",
    )
    parser.add_argument("--pretext", type=Path, metavar="RUN", help="folder of a pre-training run")
    parser.add_argument(
        "--part",
        nargs="+",
        choices=PARTS,
        default=PARTS,
        help="only these; two runs at once may share cache and results, and a last run of all joins them",
    )
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
