"""Who is measured for docs/accuracy.md: our models, frozen encoders, other packages' metrics, yardsticks.

Everything that gives a figure to each picture of a set is a ``Column``; its digest names what made the
figures, so that they are worked out once and kept (``Store``).
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from crossiqa_edge import weights
from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.bench.accuracy_rows import in_views
from crossiqa_edge.bench.accuracy_sets import Pictures, check_hold_out
from crossiqa_edge.bench.facts import versions
from crossiqa_edge.bench.peers import METRICS, Peer
from crossiqa_edge.bench.subjects import Reading, encoder, scoring, untrained_encoder
from crossiqa_edge.data.fidelity import psnr, ssim
from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.training.evaluate import Features, Loading, gather
from crossiqa_edge.version import __version__

Rows = npt.NDArray[np.float64]
Role = Literal["model", "encoder", "peer", "full reference"]

NO_DIFFERENCE = 100.0  # dB; where a picture equals its original, PSNR has no finite figure
_LOADING = Loading(batch=16, workers=1)


@dataclass(frozen=True)
class Column:
    """One that judges pictures.

    Attributes:
        name: heading in tables.
        role: what it is; only a ``full reference`` sees the pristine picture.
        digest: of its weights, or its package's version.
        run: float64 (N,) scores, higher is better, or (N, D) features of an ``encoder``.
    """

    name: str
    role: Role
    digest: str
    run: Callable[[Pictures], Rows]


@dataclass(frozen=True)
class Store:
    """Figures by column and set, one file each."""

    folder: Path

    def __call__(self, column: Column, pictures: Pictures) -> Rows:
        """The column's figures on ``pictures``, read if they are known, worked out and kept otherwise."""
        path = self.folder / f"{column.digest}-{pictures.digest}-{pictures.pixels}.npy"
        if path.is_file():
            known: Rows = np.load(path, allow_pickle=False)
            return known
        start = time.monotonic()
        values = column.run(pictures)
        if not np.isfinite(values).all():
            raise InputError(f"{column.name}: a figure that is not finite on {pictures.name}; leave it out")
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as stream:
            np.save(stream, values, allow_pickle=False)
        seconds = time.monotonic() - start
        print(f"accuracy: {column.name} on {pictures.name}: {seconds:.0f} s", file=sys.stderr, flush=True)
        return values


def model(name: str, views: int | None = None) -> Column:
    """A finished model: a shipped name or an artefact; with so many ``views`` a picture, if it is told.

    Raises:
        ArtefactError: no such model.
    """
    path = _path(name)
    card = Artefact.open(path).card
    check_hold_out(card)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return Column(
        *in_views(f"{card.size} {card.precision}", digest, views),
        run=lambda pictures: _gathered(scoring(os.fspath(path), Reading(views=views)).run, pictures),
    )


def coverage(name: str) -> dict[str, dict[str, float]]:
    """How often opinion lay within a model's interval, by set: what its training measured and its card keeps.

    A half of the held-out pictures at a time, in intervals that were fitted on the other.
    """
    accuracy = Artefact.open(_path(name)).card.accuracy
    return {
        key: {"pictures": figures["pictures"], "coverage": figures["interval coverage"]}
        for key, figures in accuracy.items()
        if "interval coverage" in figures
    }


def encoders(name: str, pretext: Path | None) -> Iterator[Column]:
    """Frozen encoders: untrained, after the pretext alone where its run is given, and that of ``name``."""
    path = _path(name)
    card = Artefact.open(path).card
    untrained = f"random-{card.size}-{card.embedding}"
    yield _encoder(
        f"{card.size}, random init", untrained, untrained_encoder(os.fspath(path), Reading(), 0).run
    )
    named = [(f"{card.size}, pretext alone", pretext / "pretrained.safetensors")] if pretext else []
    for words, file in [*named, (f"{card.size}, fine-tuned", path)]:
        subject = encoder(os.fspath(file), Reading())
        yield _encoder(words, subject.name.split("@")[1].removesuffix(" encoder"), subject.run)


def peers() -> Iterator[Column]:
    """The classical metrics whose packages are installed; the others are named on stderr."""
    for peer in METRICS:
        if find_spec(peer.module) is None:
            print(f"accuracy: {peer.name} left out, not installed: {peer.install}", file=sys.stderr)
            continue
        version = versions([peer.package]).get(peer.package, "unknown")
        yield Column(peer.name, "peer", f"{peer.package}-{version}", _peer(peer))


def yardsticks() -> Iterator[Column]:
    """Full-reference measures: PSNR, SSIM, and VIF where the package ``piq`` is installed."""
    for name, measure in (("PSNR", psnr), ("SSIM", ssim)):
        yield Column(name, "full reference", f"{name.lower()}-{__version__}", _compared(measure))
    if find_spec("piq") is None:
        print("accuracy: VIF left out: piq is not installed", file=sys.stderr)
        return
    yield Column("VIF", "full reference", f"piq-vif-{versions(['piq'])['piq']}", _compared(_vif()))


def _path(name: str) -> Path:
    return Path(name) if Path(name).exists() else weights.find(name)


def _encoder(words: str, digest: str, features: Features) -> Column:
    return Column(words, "encoder", digest, lambda pictures: _gathered(features, pictures))


def _gathered(function: Callable[..., npt.ArrayLike], pictures: Pictures) -> Rows:
    found = gather(function, pictures.quality_set, _LOADING)
    for key, reason in found.skipped.items():  # figures of other pictures could not be compared
        raise InputError(f"{pictures.name}: {key}: {reason}")
    return found.values


def _peer(peer: Peer) -> Callable[[Pictures], Rows]:
    def run(pictures: Pictures) -> Rows:
        metric = peer.build("").metric
        return np.array([metric(np.asarray(item.load())) for item in pictures.quality_set.samples])

    return run


def _compared(measure: Callable[[Frame, Frame], float]) -> Callable[[Pictures], Rows]:
    def run(pictures: Pictures) -> Rows:
        return np.fromiter(_measured(measure, pictures), np.float64)

    return run


def _measured(measure: Callable[[Frame, Frame], float], pictures: Pictures) -> Iterable[float]:
    assert pictures.original is not None
    known: dict[str, Frame] = {}
    for item in pictures.quality_set.samples:
        if item.reference not in known:
            known = {item.reference: pictures.original(item)}
        yield min(measure(known[item.reference], np.asarray(item.load())), NO_DIFFERENCE)


def _vif() -> Callable[[Frame, Frame], float]:
    piq: Any = import_module("piq")
    torch: Any = import_module("torch")

    def tensor(frame: Frame) -> Any:
        return torch.from_numpy(np.array(frame)).permute(2, 0, 1)[None].float() / 255

    return lambda reference, picture: float(piq.vif_p(tensor(picture), tensor(reference)))
