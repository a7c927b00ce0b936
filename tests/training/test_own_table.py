"""Tables as people have them: other names of columns, other scales, gaps, repeats, copies."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from own_pictures import make_pictures, write_table

from crossiqa_edge.errors import DatasetError
from crossiqa_edge.training.own_table import read_own_table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_pictures(tmp_path, 4)
    return tmp_path


ROWS = [("0.png", 1.5), ("1.png", 4.5), ("2.png", 3.0), ("3.png", 2.0)]


@pytest.mark.parametrize("header", ["file,mos", "Image,MOS", "\ufeffpath,Rating", " filename ,score"])
def test_columns_go_by_several_names(folder: Path, header: str) -> None:
    owned = read_own_table(write_table(folder / "mine.csv", ROWS, header))
    assert [sample.key for sample in owned.quality_set.samples] == [name for name, _ in ROWS]
    assert owned.quality_set.scores == pytest.approx([0.125, 0.875, 0.5, 0.25])  # of a scale from 1 to 5
    assert (owned.quality_set.name, owned.quality_set.native_range) == ("mine", (1.0, 5.0))
    assert owned.quality_set.samples[0].load().shape == (96, 96, 3)
    assert owned.files[0] == folder / "0.png" and not owned.missing


@pytest.mark.parametrize(
    ("opinions", "scale"),
    [
        ((0.1, 0.9), (0, 1)),
        ((0.5, 4), (0, 5)),
        ((0, 7), (0, 10)),
        ((30, 99), (0, 100)),
        ((-3, 120), (-3, 120)),
    ],
)
def test_the_scale_is_the_narrowest_that_holds_all(
    folder: Path, opinions: tuple[float, float], scale: tuple[float, float]
) -> None:
    owned = read_own_table(write_table(folder / "t.csv", zip(("0.png", "1.png"), opinions, strict=True)))
    assert owned.quality_set.native_range == scale
    assert f"from {scale[0]:g} (worst) to {scale[1]:g} (best)" in owned.notes[0]


def test_a_scale_that_is_given_may_fall(folder: Path) -> None:
    owned = read_own_table(write_table(folder / "t.csv", ROWS), (5.0, 0.0))
    assert owned.quality_set.scores == pytest.approx([0.7, 0.1, 0.4, 0.6])
    assert owned.notes == ()
    with pytest.raises(DatasetError, match=r"outside the scale 0\.\.4"):
        read_own_table(folder / "t.csv", (0.0, 4.0))


def test_several_rows_of_a_picture_are_several_opinions(folder: Path) -> None:
    owned = read_own_table(write_table(folder / "t.csv", [*ROWS, ("0.png", 2.5)]))
    assert owned.quality_set.scores[0] == pytest.approx(0.25)
    assert "1 pictures are listed more than once" in owned.notes[1]


def test_copies_are_one_content_and_so_are_those_of_one_reference(folder: Path) -> None:
    shutil.copy(folder / "0.png", folder / "copy.png")
    rows = [*ROWS, ("copy.png", 2.0)]
    owned = read_own_table(write_table(folder / "t.csv", rows))
    assert [sample.reference for sample in owned.quality_set.samples] == [
        "0.png", "1.png", "2.png", "3.png", "0.png",
    ]  # fmt: skip
    assert "2 pictures are 1 by their bytes" in owned.notes[-1]
    named = write_table(folder / "r.csv", [(*row, "scene a") for row in ROWS], "file,mos,Scene")
    assert {sample.reference for sample in read_own_table(named).quality_set.samples} == {"scene a"}


def test_copies_and_references_together_join_contents(folder: Path) -> None:
    """What shares bytes with a picture of one scene and is of another scene makes the two one content."""
    for copy in ("copy.png", "twin.png"):
        shutil.copy(folder / "0.png", folder / copy)
    rows = [
        ("0.png", 1.5, "a"), ("1.png", 4.5, "a"), ("copy.png", 1.0, "b"), ("2.png", 3.0, "b"),
        ("twin.png", 2.0, ""), ("3.png", 2.5, "c"),
    ]  # fmt: skip
    owned = read_own_table(write_table(folder / "t.csv", rows, "file,mos,reference"))
    contents = {sample.key: sample.reference for sample in owned.quality_set.samples}
    assert len({contents[name] for name in ("0.png", "1.png", "copy.png", "2.png", "twin.png")}) == 1
    assert contents["3.png"] == "c" != contents["0.png"]


def test_contents_join_through_any_number_of_pictures(folder: Path) -> None:
    """Two chains that only their last link makes one, whatever the order of the rows."""
    for index in range(4):
        shutil.copy(folder / f"{index}.png", folder / f"copy{index}.png")
    links = [("0.png", "a"), ("copy0.png", "b"), ("1.png", "b"), ("copy1.png", "c"), ("2.png", "c"),
             ("copy2.png", "d"), ("3.png", "d"), ("copy3.png", "e")]  # fmt: skip
    for order in (links, links[::-1], links[::2] + links[1::2]):
        rows = [(name, 1 + index / 2, scene) for index, (name, scene) in enumerate(order)]
        owned = read_own_table(write_table(folder / "t.csv", rows, "file,mos,scene"))
        assert len({sample.reference for sample in owned.quality_set.samples}) == 1


def test_every_row_of_a_picture_tells_its_references(folder: Path) -> None:
    rows = [("0.png", 1.5, "a"), ("0.png", 2.0, ""), ("0.png", 2.5, "b"), ("1.png", 4.0, " a"),
            ("2.png", 3.0, "b"), ("3.png", 3.5, "")]  # fmt: skip
    owned = read_own_table(write_table(folder / "t.csv", rows, "file,mos,content"))
    assert [sample.reference for sample in owned.quality_set.samples] == ["a", "a", "a", "3.png"]


def test_absent_pictures_are_told_and_passed_over(folder: Path) -> None:
    owned = read_own_table(write_table(folder / "t.csv", [*ROWS, ("gone.png", 3.0)]))
    assert len(owned.quality_set) == 4
    assert list(owned.missing) == ["gone.png"] and "no such file" in owned.missing["gone.png"]


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ([("0.png", 3), ("1.png", 3)], "file,mos", "every opinion is 3"),
        ([("0.png", "good")], "file,mos", "t.csv:2: 'good' is not a number"),
        ([("0.png", 3)], "image,value", "no column 'mos' .*the header has image, value"),
        ([("0.png", 3)], "where,mos", "no column 'file'"),
        ([("", 3), ("1.png", 2)], "file,mos", "no picture is named"),
        ([("0.png",)], "file,mos", "not a number|shorter"),
        ([], "file,mos", "not a single picture"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(
    folder: Path, rows: list[tuple[object, ...]], header: str, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        read_own_table(write_table(folder / "t.csv", rows, header))
