"""JSON and CSV: complete documents after any number of results, with nothing lost on the way."""

from __future__ import annotations

import csv
import io
import json

import pytest

from crossiqa_edge.errors import InputError
from crossiqa_edge.report.records import CSV_COLUMNS, CsvWriter, JsonWriter
from crossiqa_edge.report.result import Result
from crossiqa_edge.score import Score

NAMES = ["plain.png", 'comma, "quote".png', "naïve/写真.jpg", "\\udcff.png"]


def scored(path: str) -> Result:
    return Result(path, path, Score(61.0, (50.0, 72.0), (60.0, 62.0), "m@1", "b", {"decode": 1, "infer": 2}))


RESULTS = [*map(scored, NAMES), Result("bad, worse.png", None, InputError("damaged; export it again"))]


@pytest.mark.parametrize("count", range(len(RESULTS) + 1))
def test_json_is_one_valid_document_wherever_it_stops(count: int) -> None:
    stream = io.StringIO()
    writer = JsonWriter(stream)
    for result in RESULTS[:count]:
        writer.write(result)
    writer.close()
    assert json.loads(stream.getvalue()) == [result.to_dict() for result in RESULTS[:count]]
    assert stream.getvalue().isascii()


def test_csv_rows_read_back() -> None:
    stream = io.StringIO()
    writer = CsvWriter(stream)
    for result in RESULTS:
        writer.write(result)
    writer.close()
    rows = list(csv.DictReader(io.StringIO(stream.getvalue())))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [row["path"] for row in rows] == [*NAMES, "bad, worse.png"]
    assert rows[0] == {
        "path": "plain.png",
        "score": "61.0",
        "quality": "good",
        "interval_low": "50.0",
        "interval_high": "72.0",
        "views": "2",
        "ms": "3",
        "model": "m@1",
        "backend": "b",
        "error": "",
    }
    assert rows[-1]["error"] == "damaged; export it again"
    assert {rows[-1][key] for key in CSV_COLUMNS[1:-1]} == {""}


def test_csv_hands_every_row_on_at_once() -> None:
    flushed: list[str] = []

    class Watched(io.StringIO):
        def flush(self) -> None:
            flushed.append(self.getvalue())

    writer = CsvWriter(Watched())
    writer.write(scored("a.png"))
    assert flushed and "a.png" in flushed[-1]
