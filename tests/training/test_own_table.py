"""Tables as people have them: other names of columns, other scales, gaps, repeats, copies."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from own_pictures import make_pictures, write_table

from crossiqa_edge.errors import ConfigError, DatasetError
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


def test_the_scale_holds_every_single_opinion(folder: Path) -> None:
    """Means on 1 to 5 of opinions on 0 to 10 were taken as on 1 to 5."""
    rows = [("0.png", 0), ("0.png", 6), ("1.png", 10), ("1.png", 0), ("2.png", 2)]
    owned = read_own_table(write_table(folder / "t.csv", rows))
    assert owned.quality_set.native_range == (0, 10)
    assert owned.quality_set.scores == pytest.approx([0.3, 0.5, 0.2])
    with pytest.raises(DatasetError, match=r"t\.csv:4: score 10 is outside the scale 0\.\.9"):
        read_own_table(folder / "t.csv", (0.0, 9.0))


def test_several_opinions_at_the_end_of_the_scale_are_within_it(folder: Path) -> None:
    """The mean of three times 0.1 is more than 0.1 to a computer."""
    rows = [("0.png", 0.1)] * 3 + [("1.png", 0)]
    assert list(read_own_table(write_table(folder / "t.csv", rows), (0.0, 0.1)).quality_set.scores) == [1, 0]


def test_a_scale_has_two_ends_that_differ(folder: Path) -> None:
    table = write_table(folder / "t.csv", ROWS)
    for scale in ((1.0, float("inf")), (float("nan"), 5.0), (3.0, 3.0)):
        with pytest.raises(ConfigError, match="is no range"):
            read_own_table(table, scale)


def test_a_file_that_may_not_be_read_is_left_to_the_decoder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(folder / "0.png", folder / "copy.png")

    def refused(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refused)
    owned = read_own_table(write_table(folder / "t.csv", [*ROWS, ("copy.png", 2.0)]))
    assert len(owned.quality_set) == 5 and not owned.missing


def test_a_name_that_no_file_can_have_is_missing(folder: Path) -> None:
    name = "n" * 300 + ".png"
    assert list(read_own_table(write_table(folder / "t.csv", [*ROWS, (name, 3.0)])).missing) == [name]


def test_the_sets_name_can_be_printed(folder: Path) -> None:
    owned = read_own_table(write_table(folder / "my\u202fratings\n.csv", ROWS))
    assert owned.quality_set.name == "my_ratings_"


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
        ([("0.png", 1, 63), ("1.png", 2, 68)], "file,mos", "t.csv:2: the row is longer than the header"),
        ([("0.png", 1, '"x'), ("1.png", 2, "x")], "file,mos,note", "t.csv:2: a quote is not closed"),
        ([(1, "0.png", 1.5), (1, "1.png", 2)], "mos,file,MOS", "two columns of one name, 'mos' and 'MOS'"),
        ([("0.png", "4_0"), ("1.png", 2)], "file,mos", "t.csv:2: '4_0' is not a number"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(
    folder: Path, rows: list[tuple[object, ...]], header: str, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        read_own_table(write_table(folder / "t.csv", rows, header))
