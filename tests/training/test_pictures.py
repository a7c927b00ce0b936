import os
from functools import partial

import numpy as np
import pytest
from PIL import Image

from crossiqa_edge.data.datasets.base import Sample
from crossiqa_edge.data.datasets.population import population
from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.training import pictures
from crossiqa_edge.training.pictures import PictureCache


def save(path, frame):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(frame).save(path)
    return path


def read(path):
    """A sample that is known by its file's name alone, as those of a release are."""
    return Sample(path.name, 0.5, path.name, partial(decode, path))


def never():
    raise AssertionError("loaded twice")


def test_gives_back_what_the_loaders_made(tmp_path, frames):
    odd = [frames[0], frames[1][:33, :47], frames[2]]
    cache = PictureCache.build(tmp_path, "x", ["a", "b", "c"], [partial(np.asarray, f) for f in odd])
    assert len(cache) == 3
    for i, frame in enumerate(odd):
        np.testing.assert_array_equal(cache[i], frame)


def test_a_filled_cache_is_not_made_again(tmp_path, frames):
    PictureCache.build(tmp_path, "x", ["a"], [lambda: frames[0]])
    np.testing.assert_array_equal(PictureCache.build(tmp_path, "x", ["a"], [never])[0], frames[0])


def test_other_pictures_are_another_cache(tmp_path, frames):
    PictureCache.build(tmp_path, "x", ["a"], [lambda: frames[0]])
    other = PictureCache.build(tmp_path, "x", ["b"], [lambda: frames[1]])
    np.testing.assert_array_equal(other[0], frames[1])


def test_a_failed_fill_leaves_nothing_behind(tmp_path, frames):
    def bad():
        raise InputError("broken.png: truncated")

    with pytest.raises(InputError, match="truncated"):
        PictureCache.build(tmp_path, "x", ["a", "b"], [lambda: frames[0], bad])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "damage", ["cut short", "no index", "index cut short", "index of others", "no pixels"]
)
def test_a_cache_that_is_not_whole_is_made_again(tmp_path, frames, damage):
    made = PictureCache.build(tmp_path, "x", ["a", "b"], [partial(np.asarray, f) for f in frames[:2]])
    index = made.path.with_suffix(".json")
    if damage == "cut short":
        made.path.write_bytes(made.path.read_bytes()[:-100])
    elif damage == "no index":
        index.unlink()
        made.path.write_bytes(b"begun")
    elif damage == "index cut short":
        index.write_bytes(index.read_bytes()[:7])
    elif damage == "index of others":
        index.write_text("[[64, 96, 3]]")
    else:
        made.path.unlink()
    again = PictureCache.build(tmp_path, "x", ["a", "b"], [partial(np.asarray, f) for f in frames[:2]])
    for one, frame in zip(again, frames[:2], strict=True):
        np.testing.assert_array_equal(one, frame)


def test_equal_names_in_two_folders_are_two_caches(tmp_path, frames):
    for folder, frame in (("one", frames[0]), ("other", frames[1])):
        file = save(tmp_path / folder / "0.png", frame)
        os.utime(file, (1, 1))
        cache = PictureCache.of_samples(tmp_path / "cache", "mine", [read(file)])
        np.testing.assert_array_equal(cache[0], frame)


def test_a_file_that_changed_in_place_is_read_again(tmp_path, frames):
    file = save(tmp_path / "0.bmp", frames[0])
    PictureCache.of_samples(tmp_path / "cache", "mine", [read(file)])
    size = file.stat().st_size
    save(file, frames[1])
    os.utime(file, (1, 1))  # the clock of some file systems is too coarse to tell the two apart
    assert file.stat().st_size == size
    np.testing.assert_array_equal(
        PictureCache.of_samples(tmp_path / "cache", "mine", [read(file)])[0], frames[1]
    )
    np.testing.assert_array_equal(PictureCache.of_files(tmp_path / "cache", [file])[0], frames[1])


def test_a_file_that_stays_is_read_once_whatever_way_its_path_is_told(tmp_path, frames, monkeypatch):
    file = save(tmp_path / "0.png", frames[0])
    first = PictureCache.of_samples(tmp_path / "cache", "mine", [read(file)])
    same = PictureCache.of_files(tmp_path / "cache", [file])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pictures, "_fill", lambda *_: never())
    relative = file.relative_to(tmp_path)
    assert PictureCache.of_samples(tmp_path / "cache", "mine", [read(relative)]) == first
    assert PictureCache.of_files(tmp_path / "cache", [relative]) == same


def test_made_pictures_are_made_again_for_another_source_or_another_way(tmp_path, frames, monkeypatch):
    def cached():
        samples = population(tmp_path / "photos", types=["gaussian_blur"], levels=[3]).samples
        made = PictureCache.of_samples(tmp_path / "cache", "population", samples)
        np.testing.assert_array_equal(made[0], samples[0].load())
        return made.path

    file = save(tmp_path / "photos" / "0.png", frames[0])
    first = cached()
    assert cached() == first
    save(file, frames[1])
    os.utime(file, (1, 1))
    second = cached()
    monkeypatch.setattr(pictures, "VERSION", pictures.VERSION + 1)
    assert len({first, second, cached()}) == 3


def test_samples_without_a_file_are_known_by_their_keys(tmp_path, frames):
    sample = Sample("a", 0.5, "a", lambda: frames[0])
    assert PictureCache.of_samples(tmp_path, "x", [sample]) == PictureCache.of_samples(
        tmp_path, "x", [sample]
    )


def test_a_file_that_is_gone_is_told_by_its_reader(tmp_path):
    with pytest.raises(InputError, match=r"gone\.png"):
        PictureCache.of_samples(tmp_path, "x", [read(tmp_path / "gone.png")])
