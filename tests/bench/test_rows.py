import json

import pytest
from rows_for_tests import row

from crossiqa_edge.bench.jsonl import append
from crossiqa_edge.bench.rows import latest_run, point_key, read
from crossiqa_edge.bench.tables import point_name, result_cells
from crossiqa_edge.errors import InputError, OutputError


def test_rows_are_appended_and_read_back(tmp_path):
    path = tmp_path / "results.jsonl"
    append(path, row(run="a"))
    append(path, row(run="b"), row("tiny", run="b"))
    rows = read(path)
    assert rows == [row(run="a"), row(run="b"), row("tiny", run="b")]
    assert latest_run(rows) == rows[1:]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no results"),
        ('{"format": 1, "run": "x"', "line 1: not JSON"),
        ('{"format": 9}', "format 1"),
        ("[]", "no row"),
        ('{"format": 1, "run": "x"}', "format 1"),
        (json.dumps({key: value for key, value in row().items() if key != "views"}), "format 1"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path, text, told):
    path = tmp_path / "results.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=told):
        read(path)


def test_views_tell_points_apart():
    one, five = row(), row(views=5)
    assert point_key(one) != point_key(five)
    assert point_name(one).endswith(" fragments") and point_name(five).endswith(" fragments x 5")
    assert [cells[3] for cells in result_cells([one, five, row(sampling="crops")])] == [
        *("sampling", "fragments", "fragments x 5", "crops x 1")
    ]


def test_files_that_cannot_be_used(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "absent")
    with pytest.raises(OutputError, match="not written"):
        append(tmp_path, row())
