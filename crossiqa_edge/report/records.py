"""Results for programs: one JSON document, or CSV. docs/score.md describes both.

Both are written as the results come, and ``close`` ends them properly: an interrupted run leaves a
valid document of what was done.
"""

from __future__ import annotations

import csv
import json
from typing import TextIO

from crossiqa_edge.report.result import Result

CSV_COLUMNS = (
    "path",
    "score",
    "quality",
    "interval_low",
    "interval_high",
    "views",
    "ms",
    "model",
    "backend",
    "error",
)


class JsonWriter:
    """A JSON array with one object a line, ASCII only, so that any name survives any terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._before = "["

    def write(self, result: Result) -> None:
        """Add the object of ``result``."""
        self._stream.write(f"{self._before}\n  {json.dumps(result.to_dict())}")
        self._before = ","

    def close(self) -> None:
        """Close the array; without results it is empty."""
        self._stream.write("[]\n" if self._before == "[" else "\n]\n")
        self._stream.flush()


class CsvWriter:
    """CSV (RFC 4180, but with the line ends of Unix) with a header."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._rows = csv.DictWriter(stream, CSV_COLUMNS, lineterminator="\n")
        self._rows.writeheader()

    def write(self, result: Result) -> None:
        """Add the row of ``result`` and hand it on at once."""
        values = result.to_dict()
        if result.score is not None:
            low, high = values["interval"] or (None, None)
            ms = round(sum(result.score.timings.values()), 3)
            values |= {"interval_low": low, "interval_high": high, "ms": ms}
        self._rows.writerow({key: values.get(key) for key in CSV_COLUMNS})
        self._stream.flush()

    def close(self) -> None:
        """Hand the last row on."""
        self._stream.flush()
