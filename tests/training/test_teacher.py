"""A teacher's opinions: what may be varied, how, and what is left in the folder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossiqa_edge.data.datasets.base import QualitySet, Sample
from crossiqa_edge.data.datasets.catalogue import open_set
from crossiqa_edge.errors import ConfigError, MissingDependencyError
from crossiqa_edge.training.linear_probe import LinearProbe, fit_probe
from crossiqa_edge.training.mix import split_source
from crossiqa_edge.training.recipe import FinetuneRecipe, Source
from crossiqa_edge.training.teacher import (
    LARGEST_SIDE,
    Teacher,
    efficientnet_lite0,
    fit_teacher,
    forget_opinions,
    training_pictures,
    variation,
    write_opinions,
)

RECIPE = FinetuneRecipe(
    "taught",
    sources=(
        Source("population", hold_out=0.25),
        Source("folder", hold_out=0.25),
        Source("folder", hold_out=0.0, place="taught"),
    ),
)


def photograph(path: Path, seed: int, size: tuple[int, int] = (300, 280)) -> np.ndarray:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (10, 12, 3), np.uint8)
    picture = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return np.array(picture)


@pytest.fixture
def roots(tmp_path: Path) -> dict[str, Path]:
    rows = ["file,mos"]
    for index in range(8):
        photograph(tmp_path / "judged" / f"{index}.png", index)
        photograph(tmp_path / "photos" / f"p{index}.png", 100 + index)
        rows.append(f"{index}.png,{10 * index}")
    (tmp_path / "judged" / "labels.csv").write_text("\n".join(rows) + "\n")
    return {"folder": tmp_path / "judged", "population": tmp_path / "photos"}


def test_nothing_held_out_is_varied(roots: dict[str, Path]) -> None:
    judged, held_out, loaders = training_pictures(RECIPE, roots)
    assert (len(judged), len(held_out)) == (6, 2)
    assert len(loaders) == 6 * 4 + 6 * 3
    shown = {load().tobytes() for load in loaders}
    _, kept_back = split_source(RECIPE.sources[0], roots["population"], RECIPE)
    assert kept_back is not None
    references = {sample.reference for sample in kept_back.samples}
    hidden = [np.array(Image.open(roots["population"] / f"{name}.png")) for name in references]
    hidden += [sample.load() for sample in held_out.samples]
    assert len(hidden) == 4
    assert not any(picture.tobytes() in shown for picture in hidden)


def test_a_teacher_needs_both_sources_and_something_held_out(roots: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="--data population=FOLDER"):
        training_pictures(RECIPE, {"folder": roots["folder"]})
    nothing = FinetuneRecipe("x", sources=(Source("population"), Source("folder", hold_out=0.0)))
    with pytest.raises(ConfigError, match="nothing of folder is held out"):
        training_pictures(nothing, roots)


def test_held_out_pictures_judge_a_teacher_and_have_no_part_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "crossiqa_edge.training.teacher.efficientnet_lite0", lambda: lambda frame: np.array([frame.mean()])
    )

    def judged(levels: Sequence[int], sign: int) -> QualitySet:
        def shown(level: int) -> np.ndarray:
            return np.full((8, 8, 3), level, np.uint8)

        samples = [Sample(str(x), 0.5 + sign * x / 500, str(x), partial(shown, x)) for x in levels]
        return QualitySet("made", tuple(samples), (0.0, 1.0))

    training = judged(range(0, 200, 10), 1)
    good, agreeing = fit_teacher(training, judged(range(5, 65, 10), 1))
    same, opposed = fit_teacher(training, judged(range(5, 65, 10), -1))
    assert (agreeing, opposed) == (pytest.approx(1), pytest.approx(-1))
    assert same.identity == good.identity


def test_variations_repeat_and_stay_within_bounds(tmp_path: Path) -> None:
    picture = photograph(tmp_path / "a.png", 1, (700, 500))
    seen = [variation(picture, np.random.default_rng(seed)) for seed in range(12)]
    assert all(frame.dtype == np.uint8 and max(frame.shape[:2]) <= LARGEST_SIDE for frame in seen)
    assert all(min(frame.shape[:2]) >= 260 for frame in seen)
    assert len({frame.tobytes() for frame in seen}) == 12
    assert np.array_equal(variation(picture, np.random.default_rng(3)), seen[3])


def test_three_in_five_variations_of_a_small_picture_are_degraded(tmp_path: Path) -> None:
    picture = photograph(tmp_path / "a.png", 1, (120, 100))  # too small to be scaled or cut
    seen = [variation(picture, np.random.default_rng(seed)) for seed in range(60)]
    assert all(frame.shape == picture.shape for frame in seen)
    assert np.mean([not np.array_equal(frame, picture) for frame in seen]) == pytest.approx(0.6, abs=0.12)


def test_an_opinion_beyond_the_scale_is_told_as_its_end(tmp_path: Path) -> None:
    loaders = [partial(np.full, (64, 64, 3), level, np.uint8) for level in (60, 190)]
    steep = Teacher(
        lambda frame: np.array([frame.mean()], np.float32), LinearProbe(np.array([0.1]), -12.0, 1.0)
    )
    table = write_opinions(steep, loaders, tmp_path / "taught")
    assert [line.split(",")[1] for line in table.read_text().split()[1:]] == ["0.00", "100.00"]


def test_opinions_become_a_labelled_folder(roots: dict[str, Path], tmp_path: Path) -> None:
    judged, _, loaders = training_pictures(RECIPE, roots)

    def brightness(frame: np.ndarray) -> np.ndarray:
        return np.array([frame.mean(), frame.std()], np.float32)

    rows = np.stack([brightness(sample.load()) for sample in judged.samples])
    teacher = Teacher(brightness, fit_probe(rows, judged))
    table = write_opinions(teacher, loaders[:5], tmp_path / "taught")
    opened = open_set("folder", table.parent)
    assert len(opened) == 5
    for sample in opened.samples:
        assert sample.score == pytest.approx(min(max(teacher(sample.load()), 0.0), 1.0), abs=1e-4)
    again = write_opinions(teacher, loaders[:5], tmp_path / "again")
    assert again.read_text() == table.read_text()


class Counting:
    """Brightness as the one feature; counts the pictures that it sees, and is interrupted at one of them."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.seen, self.stop_at = 0, stop_at

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        if self.seen == self.stop_at:
            raise KeyboardInterrupt
        self.seen += 1
        return np.array([frame.mean()], np.float32)


def counting(features: Counting, weight: float = 1.0 / 255.0) -> Teacher:
    return Teacher(features, LinearProbe(np.array([weight]), 0.0, 1.0))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_interrupted_run_goes_on_where_it_stopped(roots: dict[str, Path], tmp_path: Path) -> None:
    loaders = training_pictures(RECIPE, roots)[2][:6]
    write_opinions(counting(Counting()), loaders, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        write_opinions(counting(Counting(stop_at=4)), loaders, tmp_path / "parts")
    assert sorted(contents(tmp_path / "parts")) == [f"0000{index}.png" for index in range(4)]
    rest = Counting()
    write_opinions(counting(rest), loaders, tmp_path / "parts")
    assert rest.seen == 2
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_nothing_is_kept_of_another_seed_teacher_or_picture(roots: dict[str, Path], tmp_path: Path) -> None:
    loaders = training_pictures(RECIPE, roots)[2][:3]
    others = {
        "seed": (0.002, loaders, 1),
        "teacher": (0.003, loaders, 0),
        "picture": (0.002, loaders[::-1], 0),
    }
    for name, (weight, given, seed) in others.items():
        write_opinions(counting(Counting(), 0.002), loaders, tmp_path / name)
        again = Counting()
        write_opinions(counting(again, weight), given, tmp_path / name, seed)
        assert again.seen == (2 if name == "picture" else 3), name  # the one in the middle stays
        write_opinions(counting(Counting(), weight), given, tmp_path / f"{name} alone", seed)
        assert contents(tmp_path / name) == contents(tmp_path / f"{name} alone")


def test_an_interrupted_run_over_a_finished_one_leaves_no_table(
    roots: dict[str, Path], tmp_path: Path
) -> None:
    loaders = training_pictures(RECIPE, roots)[2][:3]
    write_opinions(counting(Counting()), loaders, tmp_path / "taught")
    with pytest.raises(KeyboardInterrupt):
        write_opinions(counting(Counting(stop_at=1)), loaders, tmp_path / "taught", seed=1)
    assert not (tmp_path / "taught" / "labels.csv").exists()


def test_a_picture_that_is_none_or_lacks_its_notes_is_made_again(
    roots: dict[str, Path], tmp_path: Path
) -> None:
    taught = tmp_path / "taught"
    loaders = training_pictures(RECIPE, roots)[2][:3]
    write_opinions(counting(Counting()), loaders, taught)
    before = contents(taught)
    (taught / "00000.png").write_bytes(b"no picture")
    photograph(taught / "00001.png", 1)
    again = Counting()
    write_opinions(counting(again), loaders, taught)
    assert again.seen == 2
    assert contents(taught) == before


def test_what_is_forgotten_is_the_set_alone(tmp_path: Path) -> None:
    for name in ("00000.png", "123456.png", "labels.csv", "0.png", "00000-mine.png", "notes.csv"):
        (tmp_path / name).touch()
    forget_opinions(tmp_path)
    assert sorted(contents(tmp_path)) == ["0.png", "00000-mine.png", "notes.csv"]
    forget_opinions(tmp_path / "nowhere")


def test_the_missing_teacher_is_named() -> None:
    try:
        import efficientnet_lite_pytorch  # noqa: F401
    except ImportError:
        with pytest.raises(MissingDependencyError, match=r"crossiqa-edge\[teacher\]"):
            efficientnet_lite0()
    else:
        pytest.skip("the teacher is installed here")
