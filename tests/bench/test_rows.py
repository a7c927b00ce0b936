import json
import os
import resource

import pytest
from rows_for_tests import row

from crossiqa_edge.bench.jsonl import append
from crossiqa_edge.bench.rows import latest_run, point_key, point_name, read
from crossiqa_edge.bench.tables import caption, result_cells
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


def without(name):
    return {key: value for key, value in row().items() if key != name}


def within(name, **figures):
    return {**row(), name: {**row()[name], **figures}}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (without("bytes"), "bytes"),
        (without("accuracy"), "accuracy"),
        (without("p50_interval_ms"), "p50_interval_ms"),
        (row(batch=0, p50_interval_ms=[1, 2], pictures_per_s=1), "batch"),
        (row(calibration=0), "calibration_ms"),
        (row(threads="two"), "threads"),
        (row(not_told_apart=[1]), "not_told_apart"),
        (row(energy_mj_per_picture="much"), "energy"),
        (within("latency_ms", p50="fast"), "latency_ms p50"),
        (within("latency_ms", p99=float("nan")), "latency_ms p99"),
        (within("accuracy", srcc=7), "accuracy srcc"),
        (within("machine", instructions=None), "machine"),
        (within("cold", open_ms=None), "cold"),
        (within("stages_ms", infer="x"), "stages_ms"),
        (within("input", pictures=None), "input"),
    ],
)
def test_a_row_that_no_table_could_show_is_refused_by_name(tmp_path, values, told):
    path = tmp_path / "results.jsonl"
    append(path, row(), values)
    with pytest.raises(InputError, match=f"line 2: no result .*: {told}"):
        read(path)


def test_figures_that_do_not_exist_are_no_damage(tmp_path):
    path = tmp_path / "results.jsonl"
    append(path, row(srcc=None, cold=None), without("energy_mj_per_picture"), without("cold"))
    rows = read(path)
    assert len(result_cells(rows)) == 1 + len(rows)
    assert caption(rows).startswith("A CPU")


def test_a_full_disk_leaves_the_rows_of_before(tmp_path):
    """The limit on a file's size stands for the disk: the write ends in the middle of a row."""
    path = tmp_path / "results.jsonl"
    append(path, row(run="a"))
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 500, most))
    try:
        with pytest.raises(OutputError, match="not written"):
            append(path, row(run="b"), row(run="b"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))
    append(path, row(run="c"))
    assert [item["run"] for item in read(path)] == ["a", "c"]


def test_rows_go_into_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        append(pipe, row())
        assert json.loads(os.read(reader, 1 << 16)) == row()
    finally:
        os.close(reader)


def test_threads_tell_points_apart():
    one, two = row(threads=1), row(threads=2)
    assert len({point_key(one), point_key(two), point_key(row())}) == 3
    assert point_name(one).endswith(", 1 thread") and point_name(two).endswith(", 2 threads")
    assert [cells[2] for cells in result_cells([one, two, row()])][1:] == [
        *("onnxruntime cpu, 1 thread", "onnxruntime cpu, 2 threads", "onnxruntime cpu")
    ]


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
