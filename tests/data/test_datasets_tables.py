"""CSV tables that would be read otherwise than they were meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from release_trees import picture

from crossiqa_edge.data.datasets.folder_csv import folder_csv
from crossiqa_edge.data.datasets.tables import number, read_csv
from crossiqa_edge.errors import ConfigError, DatasetError


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png"):
        picture(tmp_path / name)
    return tmp_path / "labels.csv"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,mos\na.png,1\nb.png,1,63\n", r"labels\.csv:3: the row is longer than the header; .* a point"),
        ('file,mos,note\na.png,1,x\nb.png,2,"x\nc.png,3,x\n', r"labels\.csv:3: a quote is not closed"),
        ('# mine\nfile,mos,"note\na.png,1,x\n', r"labels\.csv:2: a quote is not closed"),
        ('file,mos\na.png,1\nb.png,"2"x\n', r"labels\.csv:3: a quote is not closed, or more follows it"),
        ('file,mos,note\na.png,1,"' + "x" * 200_000 + "\n", r"labels\.csv:2: a quote is not closed"),
        ("mos,file,mos\n1,a.png,2\n", r"labels\.csv: two columns are called 'mos'"),
        ("file,mos\na.png,4_0\n", r"labels\.csv:2: '4_0' is not a number"),
        (f"file,mos\n{'n' * 300}.png,4\n", r"labels\.csv:2: .* is missing"),
    ],
)
def test_what_would_be_read_otherwise_is_refused(table: Path, text: str, message: str) -> None:
    table.write_text(text)
    with pytest.raises(DatasetError, match=message):
        folder_csv(table.parent)


def test_commas_at_the_end_of_a_line_are_no_columns(table: Path) -> None:
    table.write_text("file,mos\na.png,1,\nb.png,5,,\n")
    assert list(folder_csv(table.parent).scores) == [0.0, 1.0]


def test_a_quoted_cell_may_span_lines_and_lines_keep_their_numbers(table: Path) -> None:
    table.write_text('file,note,mos\n\na.png,"said ""so,""\nthen left",1\nb.png,,5\nc.png\n')
    rows = list(read_csv(table, ["file"]))
    assert [(where.rpartition(":")[2], row["mos"]) for where, row in rows] == [
        ("3", "1"),
        ("5", "5"),
        ("6", ""),
    ]
    assert rows[0][1]["note"].startswith('said "so,"')
    with pytest.raises(DatasetError, match=r"labels\.csv:6: the row is shorter"):
        list(read_csv(table, ["file", "mos"]))


def test_columns_without_a_name_may_be_many(table: Path) -> None:
    table.write_text("file,mos,,\na.png,1,,\nb.png,5,x,y\n")
    assert len(folder_csv(table.parent)) == 2


@pytest.mark.parametrize("scale", [(1.0, float("inf")), (float("nan"), 5.0), (3.0, 3.0), (1.0, 2.0, 3.0)])
def test_a_scale_has_two_ends(table: Path, scale: tuple[float, float]) -> None:
    table.write_text("file,mos\na.png,1\nb.png,5\n")
    with pytest.raises(ConfigError, match="is no range"):
        folder_csv(table.parent, native_range=scale)


def test_a_number_is_written_without_underscores() -> None:
    assert number(" 4.5e1 ", "here") == 45
    with pytest.raises(DatasetError, match="here: '1_0' is not a number"):
        number("1_0", "here")
