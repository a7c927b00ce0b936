"""Results for programs: one JSON document, JSON lines, or CSV. docs/score.md and docs/video.md describe them.

All are written as the results come, and ``close`` ends them properly: an interrupted run leaves a valid
document of what was done. Lines and rows are there for every frame of a clip as soon as it is scored.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from typing import Any, TextIO

from crossiqa_edge.report.result import ClipResult, Result
from crossiqa_edge.video.results import FrameScore, GapEvent

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
    "index",
    "pts",
    "flags",
    "is_cut",
    "dropped_before",
    "percentile",
)


class JsonWriter:
    """A JSON array with one object a line, ASCII only, so that any name survives any terminal.

    Args:
        bare: the object of the one result that there will be, without an array around it.
    """

    def __init__(self, stream: TextIO, *, bare: bool = False) -> None:
        self._stream = stream
        self._bare = bare
        self._before = "" if bare else "[\n  "

    def write(self, result: Result | ClipResult) -> None:
        """Add the object of ``result``."""
        self._stream.write(f"{self._before}{json.dumps(result.to_dict())}")
        self._before = ",\n  "

    def frame(self, path: str, event: FrameScore | GapEvent) -> None:
        """Nothing yet: a clip's object holds its frames."""

    def close(self) -> None:
        """Close the array; without results it is empty, and a bare document null."""
        written = self._before.startswith(",")
        if self._bare:
            self._stream.write("\n" if written else "null\n")
        else:
            self._stream.write("\n]\n" if written else "[]\n")
        self._stream.flush()


class JsonLinesWriter:
    """One JSON object a line: a picture, a frame, a gap, or the end of a clip. ASCII only."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, result: Result | ClipResult) -> None:
        """A picture's object; of a clip, whose frames are written already, what it comes to."""
        if isinstance(result, ClipResult) and result.report is not None:
            values = result.report.summary()
            self.end(values.pop("path"), values)
        else:
            self._line(result.to_dict())

    def frame(self, path: str, event: FrameScore | GapEvent) -> None:
        """Add one frame or gap of the clip ``path`` and hand it on at once."""
        self._line({"path": path, **event.to_dict()})

    def end(self, path: str, values: Mapping[str, Any]) -> None:
        """Add what the frames of ``path`` come to."""
        self._line({"path": path, "event": "end", **values})

    def close(self) -> None:
        """Hand the last line on."""
        self._stream.flush()

    def _line(self, values: dict[str, Any]) -> None:
        self._stream.write(json.dumps(values) + "\n")
        self._stream.flush()


class CsvWriter:
    """CSV (RFC 4180, but with the line ends of Unix) with a header."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._rows = csv.DictWriter(stream, CSV_COLUMNS, lineterminator="\n")
        self._rows.writeheader()

    def write(self, result: Result | ClipResult) -> None:
        """Add the row of a picture; of a clip, one only if it failed or was not whole."""
        if isinstance(result, Result):
            values = result.to_dict()
            ms = None if result.score is None else sum(result.score.timings.values())
            flags = " ".join(values.get("flags", ()))
            self._row({**values, "flags": flags, **_interval(values)}, ms)
        elif result.error is not None:
            self._row({"path": result.path, "error": result.error}, None)

    def frame(self, path: str, event: FrameScore | GapEvent) -> None:
        """Add one frame or gap of the clip ``path`` and hand it on at once."""
        values = {"path": path, **event.to_dict()}
        if isinstance(event, GapEvent):
            values |= {"pts": values["start_pts"], "error": f"gap of {event.seconds:.3f} s: {event.reason}"}
            self._row(values, None)
            return
        values |= {"quality": event.word, "views": len(event.raw) or None, "flags": " ".join(event.flags)}
        self._row({**values, **_interval(values)}, sum(event.timings_ms.values()))

    def close(self) -> None:
        """Hand the last row on."""
        self._stream.flush()

    def _row(self, values: dict[str, Any], ms: float | None) -> None:
        values["ms"] = None if ms is None else round(ms, 3)
        self._rows.writerow({key: values.get(key) for key in CSV_COLUMNS})
        self._stream.flush()


def _interval(values: dict[str, Any]) -> dict[str, Any]:
    low, high = values.get("interval") or (None, None)
    return {"interval_low": low, "interval_high": high}
