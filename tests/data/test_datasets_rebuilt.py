"""Population MOS and TID2013-Kodak (rebuilt): opinions carried over to pictures that are made here."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from release_trees import picture, tag_of

from crossiqa_edge.data.datasets.base import Sample
from crossiqa_edge.data.datasets.population import (
    opinions,
    photographs,
    population,
    population_mos,
    tid_population,
    video_order,
)
from crossiqa_edge.data.datasets.tid_kodak import tid_kodak, tid_kodak_root
from crossiqa_edge.data.degradations import every, registry
from crossiqa_edge.data.degradations.registry import Degradation
from crossiqa_edge.errors import ConfigError, DatasetError
from crossiqa_edge.imaging.sampling import Frame


def test_the_table_has_every_type_and_level_of_all_81_references() -> None:
    table = opinions()
    assert sorted(table) == [(number, level) for number in range(1, 26) for level in range(1, 6)]
    assert {opinion.n for opinion in table.values()} == {81}
    assert all(1.0 <= opinion.mean <= 5.0 and 0.0 < opinion.std < 1.0 for opinion in table.values())


def test_the_table_agrees_with_known_means() -> None:
    """Of KADID-10k's own dmos.csv: blur at 1 and 5, JPEG at 5, the unchanged picture, colour blocks."""
    table = opinions()
    known = {(1, 1): 4.61, (1, 5): 1.30, (10, 5): 1.35, (18, 3): 4.60, (23, 1): 2.69}
    assert {key: round(table[key].mean, 2) for key in known} == known


@pytest.mark.parametrize("name", [kind.name for kind in every("kadid10k")])
def test_the_harshest_level_is_liked_less_than_the_mildest(name: str) -> None:
    scores = [population_mos(name, level) for level in range(1, 6)]
    assert all(0.0 <= score <= 1.0 for score in scores)
    assert scores[0] - scores[4] > 0.1


def test_the_label_follows_the_published_level_not_the_severity() -> None:
    """Severity 1 of these is the unchanged picture, which the publication calls level 3."""
    for name in ("mean_shift", "contrast_change"):
        number = registry.get(name).number
        assert population_mos(name, 1) == pytest.approx((opinions()[number, 3].mean - 1) / 4)
        assert population_mos(name, 1) == max(population_mos(name, level) for level in range(1, 6))


def test_only_what_people_were_asked_about_has_an_opinion() -> None:
    with pytest.raises(ConfigError, match="level 0 is not within"):
        population_mos("jpeg", 0)
    with pytest.raises(ConfigError, match="unknown degradation 'jpg'"):
        population_mos("jpg", 1)
    with pytest.raises(ConfigError, match="nobody was asked"):
        population_mos("video_h264", 1)


def test_tid2013_has_a_table_of_its_own_from_the_training_references() -> None:
    """Of mos_with_names.txt, references 1 to 12: white noise and JPEG at their ends."""
    table = opinions("tid2013")
    assert sorted(table) == [(number, level) for number in range(1, 25) for level in range(1, 6)]
    assert {opinion.n for opinion in table.values()} == {12}
    assert table[1, 1].mean == pytest.approx(5.66, abs=0.005)
    assert population_mos("tid_white_noise", 1) == pytest.approx(table[1, 1].mean / 9)
    assert population_mos("tid_jpeg", 1) - population_mos("tid_jpeg", 5) > 0.3


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    picture(tmp_path / "b.png", 100, (40, 36))
    picture(tmp_path / "sub" / "a.JPG", 150, (36, 40))
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_population_is_every_photograph_with_every_type_and_level(photos: Path) -> None:
    opened = population(photos)
    assert opened.name == "population MOS"
    assert len(opened) == 2 * 25 * 5
    assert {sample.reference for sample in opened.samples} == {"b", "sub/a"}
    assert all(sample.score == population_mos(*key(sample)) for sample in opened.samples)


def test_the_population_of_tid2013_has_its_own_types_only(photos: Path) -> None:
    opened = tid_population(photos)
    assert opened.name == "TID2013 population MOS"
    assert len(opened) == 2 * 16 * 5
    assert all(sample.score == population_mos(*key(sample)) for sample in opened.samples)
    assert opened.native_range == (0.0, 9.0)
    with pytest.raises(ConfigError, match="'jpeg' is not a type of TID2013 population MOS"):
        tid_population(photos, types=["jpeg"])


def test_video_has_an_order_and_no_opinion(photos: Path) -> None:
    opened = video_order(photos, types=["video_banding"])
    assert [sample.score for sample in opened.samples[:5]] == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert len(opened) == 2 * 5
    with pytest.raises(ConfigError, match="'jpeg' is not a type"):
        video_order(photos, types=["jpeg"])


def key(sample: Sample) -> tuple[str, int]:
    name, level = sample.key.split(":")[1:]
    return name, int(level)


def test_population_degrades_when_loaded_and_repeats_itself(photos: Path) -> None:
    opened = population(photos, types=["white_noise"], levels=[5], seed=3)
    first, second = opened.samples
    assert [sample.key for sample in opened.samples] == ["b.png:white_noise:5", "sub/a.JPG:white_noise:5"]
    assert (first.distortion, first.level, first.band) == ("white_noise", 5, "high")
    noise = first.load().astype(int) - 100
    assert noise.shape == (36, 40, 3)
    assert 10 < noise.std() < 40
    again = population(photos, types=["white_noise"], levels=[5], seed=3).samples[0]
    assert np.array_equal(pickle.loads(pickle.dumps(again)).load(), first.load())
    other = population(photos, types=["white_noise"], levels=[5], seed=4).samples[0]
    assert not np.array_equal(other.load(), first.load())
    own_noise = second.load().astype(int) - 150
    assert not np.array_equal(own_noise.ravel()[:500], noise.ravel()[:500])


def test_folders_and_what_macos_adds_are_no_photographs(photos: Path) -> None:
    (photos / "x.png").mkdir()
    picture(photos / "x.png" / "inner.png")
    (photos / "._b.png").write_bytes(b"a resource fork")
    names = [path.relative_to(photos).as_posix() for path in photographs(photos)]
    assert names == ["b.png", "sub/a.JPG", "x.png/inner.png"]


def test_a_tilde_is_the_home_folder(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(photos))
    monkeypatch.setenv("USERPROFILE", str(photos))
    assert photographs("~") == photographs(photos)
    home, named = (population(root, types=["jpeg"]).samples for root in ("~", photos))
    assert [sample.key for sample in home] == [sample.key for sample in named]


def test_a_photographs_name_need_not_be_utf8(tmp_path: Path) -> None:
    try:
        picture(tmp_path / os.fsdecode(b"caf\xe9.png"), 100, (40, 36))
    except (OSError, UnicodeError):
        return  # a system that has no such names
    opened = population(tmp_path, types=["white_noise"], levels=[5])
    assert opened.samples[0].load().shape == (36, 40, 3)


def test_population_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not a picture here"):
        photographs(tmp_path)
    with pytest.raises(DatasetError, match="no such folder"):
        population(tmp_path / "absent")


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Degradation]:
    """A rebuilt type that paints its parameter; the publication's levels 1, 2 are our 2, 1."""

    def paint(image: Frame, parameter: float, generator: np.random.Generator) -> Frame:
        return np.full_like(image, int(parameter))

    kind = Degradation(
        name="tid_echo",
        title="Echo",
        family="tid2013",
        number=17,
        parameters=(10, 20, 30, 40, 50),
        parameter_name="byte",
        band="low",
        source="this test",
        apply=paint,
        published_levels=(2, 1, 3, 4, 5),
    )
    monkeypatch.setitem(registry._REGISTRY, kind.name, kind)
    yield kind


@pytest.fixture
def kodak(tmp_path: Path) -> Path:
    picture(tmp_path / "kodak" / "kodim01.png", 1, (768, 512))
    picture(tmp_path / "kodak" / "kodim04.png", 4, (512, 768))
    rows = [f"{r},17,{level},contrast change,{r + level / 10}" for r in (1, 4) for level in range(1, 6)]
    (tmp_path / "mos.csv").write_text("\n".join(["reference,type,level,name,mos", *rows]))
    return tmp_path


def test_rebuilt_pictures_carry_the_opinion_of_their_published_level(kodak: Path, echo: Degradation) -> None:
    opened = tid_kodak(kodak / "kodak", kodak / "mos.csv", references=[1, 4], types=["tid_echo"])
    assert opened.name == "TID2013-Kodak (rebuilt)"
    assert [sample.key for sample in opened.samples[:3]] == ["i01_17_2", "i01_17_1", "i01_17_3"]
    assert [sample.level for sample in opened.samples] == [1, 2, 3, 4, 5] * 2
    assert opened.scores[:3] * 9 == pytest.approx([1.2, 1.1, 1.3])
    assert [tag_of(sample) for sample in opened.samples[:5]] == [10, 20, 30, 40, 50]
    assert {sample.reference for sample in opened.samples} == {"kodim01", "kodim04"}
    assert all(sample.load().shape == (384, 512, 3) for sample in opened.samples)
    assert opened.samples[0].band == "low"


def test_one_folder_for_pictures_and_table(kodak: Path, echo: Degradation) -> None:
    below = tid_kodak_root(kodak, "mos.csv", references=[4], types=["tid_echo"])
    itself = tid_kodak_root(kodak / "kodak", kodak / "mos.csv", references=[4], types=["tid_echo"])
    assert [sample.key for sample in below.samples] == [sample.key for sample in itself.samples]


def test_what_a_rebuilt_set_lacks_is_named(kodak: Path, echo: Degradation) -> None:
    pictures, table = kodak / "kodak", kodak / "mos.csv"
    with pytest.raises(DatasetError, match=r"no kodim02\.png"):
        tid_kodak(pictures, table, references=[2], types=["tid_echo"])
    with pytest.raises(ConfigError, match="'jpeg' is not a rebuilt type"):
        tid_kodak(pictures, table, references=[1], types=["jpeg"])
    picture(pictures / "kodim02.png", 2)
    with pytest.raises(DatasetError, match=r"no opinion for reference, type, level \(2, 17, 2\)"):
        tid_kodak(pictures, table, references=[2], types=["tid_echo"])


def test_a_rebuilt_picture_is_cut_where_the_release_cut_it(kodak: Path, echo: Degradation) -> None:
    """Kodak 04 is upright and cut at row 206: a picture whose pixels tell their row shows it."""
    rows = np.mgrid[:768, :512][0]
    ramp = np.stack([rows // 4, rows * 0, rows * 0], 2).astype(np.uint8)
    Image.fromarray(ramp).save(kodak / "kodak" / "kodim04.png")
    registry._REGISTRY["tid_echo"] = replace(echo, apply=lambda image, parameter, generator: image)
    opened = tid_kodak(kodak / "kodak", kodak / "mos.csv", references=[4], types=["tid_echo"])
    assert opened.samples[0].load()[:, 0, 0].tolist() == (np.arange(206, 206 + 384) // 4).tolist()


def test_no_two_references_share_their_noise(kodak: Path) -> None:
    for number, size in ((1, (768, 512)), (4, (512, 768))):
        picture(kodak / "kodak" / f"kodim0{number}.png", 128, size)
    rows = [f"{reference},1,{level},5" for reference in (1, 4) for level in range(1, 6)]
    (kodak / "mos.csv").write_text("\n".join(["reference,type,level,mos", *rows]))
    opened = tid_kodak(kodak / "kodak", kodak / "mos.csv", references=[1, 4], types=["tid_white_noise"])
    first, other = opened.samples[0].load(), opened.samples[5].load()
    assert (first != other).mean() > 0.5
    np.testing.assert_array_equal(first, opened.samples[0].load())
