"""The run of ``crossiqa score``: over pictures and clips in the order given, each printed when it is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from io import TextIOWrapper
from typing import Protocol, TextIO

from crossiqa_edge.cli.console import complain, stopped_by_signals, track
from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.gather import Entry, is_address
from crossiqa_edge.report.records import CsvWriter, JsonLinesWriter, JsonWriter
from crossiqa_edge.report.result import ClipResult, Result, worst_first
from crossiqa_edge.report.table import TableWriter
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.video.frames import SourceFacts
from crossiqa_edge.video.policy import Policy
from crossiqa_edge.video.pooling import Pooling
from crossiqa_edge.video.redact import redact
from crossiqa_edge.video.report import Recorder
from crossiqa_edge.video.results import FrameScore, GapEvent

# As long as nobody has opened them: ten seconds, and a quarter of an hour of what may never end.
_FRAMES_OF_A_CLIP, _FRAMES_OF_A_STREAM = 300, 27_000


class Writer(Protocol):
    """Where results go, one by one; ``close`` leaves a complete document, however many came."""

    def write(self, result: Result | ClipResult) -> None: ...

    def frame(self, path: str, event: FrameScore | GapEvent) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ClipSettings:
    """How clips are scored; ``live`` None is as each source is, ``hardware`` as for ``open_source``."""

    policy: Policy
    live: bool | None
    pooling: Pooling
    hardware: str


def pictures_ahead(entries: Sequence[Entry]) -> int:
    """About how many pictures and frames will be scored."""
    return sum(map(_frames_ahead, entries))


def _frames_ahead(entry: Entry) -> int:
    if not entry.clip:
        return 1
    endless = isinstance(entry.source, str) and is_address(entry.source)
    return _FRAMES_OF_A_STREAM if endless else _FRAMES_OF_A_CLIP


def in_mode(policy: Policy, live: bool | None, facts: SourceFacts) -> Policy:
    """``policy``, in the mode that was asked for or, with None, that suits the source."""
    live = facts.live if live is None else live
    return replace(policy, mode="live" if live else "every-frame")


_WRITERS: dict[str | None, Callable[[TextIO], Writer]] = {
    None: TableWriter,
    "jsonl": JsonLinesWriter,
    "csv": CsvWriter,
}


def writer_for(form: str | None, paths: Sequence[str], entries: Sequence[Entry]) -> Writer:
    """What prints in ``form``; the document of a clip that ``paths`` name alone is not inside a list.

    A folder, a glob or a list gives a list however much is in it, so that scripts need not look.
    """
    if form == "json":
        return JsonWriter(stdout(), bare=_is_one_clip(paths, entries))
    return _WRITERS[form](stdout())


def _is_one_clip(paths: Sequence[str], entries: Sequence[Entry]) -> bool:
    """Whether all of ``paths``, as given, are the name of one clip: what a folder gives has another."""
    if len(entries) != 1 or not entries[0].clip:
        return False
    source = entries[0].source
    return set(paths) == {source if isinstance(source, str) else "-"}


def stdout() -> TextIOWrapper:
    """Standard output, made to spell out what its encoding lacks instead of failing half-way."""
    assert isinstance(sys.stdout, TextIOWrapper)
    sys.stdout.reconfigure(errors="backslashreplace")
    return sys.stdout


def score_all(
    scorer: Scorer,
    entries: Sequence[Entry],
    batch: int,
    settings: ClipSettings,
    writer: Writer,
    *,
    ordered: bool,
) -> list[Result | ClipResult]:
    """Score and print. Whatever ends this early, Ctrl-C included, what was done is printed and complete.

    Args:
        batch: pictures in one inference.
        ordered: print when all is done, the worst first.
    """
    results: list[Result | ClipResult] = []
    outcomes: Generator[Result | ClipResult, None, None] = _outcomes(scorer, entries, batch, settings, writer)
    clips = any(entry.clip for entry in entries)  # each has a bar of its own
    if not clips and (ordered or not sys.stdout.isatty()):  # rows on a terminal are progress enough
        outcomes = track(outcomes, "scoring", len(entries))
    try:
        with closing(outcomes):
            for result in outcomes:
                results.append(result)
                if result.error is not None:
                    complain(f"{result.path}: {result.error}")
                if not ordered:
                    writer.write(result)
    finally:
        for result in worst_first(results) if ordered else ():
            writer.write(result)
        writer.close()
    return results


def _outcomes(
    scorer: Scorer, entries: Sequence[Entry], batch: int, settings: ClipSettings, writer: Writer
) -> Generator[Result | ClipResult, None, None]:
    """One result an entry, in order. Entries that are an error already go past the scorer."""
    pictures = [entry.source for entry in entries if not entry.clip]
    readable = [source for source in pictures if isinstance(source, str | bytes)]
    scores = scorer.score_many(readable, batch)
    for entry in entries:
        if isinstance(entry.source, InputError):
            yield Result(entry.label, None, entry.source)
        elif not entry.clip:
            assert isinstance(entry.source, str | bytes)
            yield Result(entry.label, entry.source, next(scores))
        else:
            yield from _clip(scorer, entry, settings, writer)


def _clip(scorer: Scorer, entry: Entry, settings: ClipSettings, writer: Writer) -> Iterator[ClipResult]:
    """The result of one clip; when Ctrl-C comes, first that of what was done until then."""
    from crossiqa_edge.video.address import piped
    from crossiqa_edge.video.pipeline import stream
    from crossiqa_edge.video.source import open_source

    assert not isinstance(entry.source, bytes | InputError)
    given = entry.source if isinstance(entry.source, str) else piped(entry.source, entry.label)
    try:
        source = open_source(given, start=settings.policy.start, hardware=settings.hardware)
        running = stream(scorer, source, in_mode(settings.policy, settings.live, source.facts))
    except InputError as error:
        yield ClipResult(redact(entry.label), None, error)
        return
    path = source.facts.name
    recorder = Recorder()
    with closing(running), stopped_by_signals(running.stop) as interruption:
        for event in track(running, f"scoring {path}", _expected(source.facts, settings.policy)):
            recorder.add(event)
            writer.frame(path, event)
    assert running.end is not None
    report = recorder.report(
        path,
        source.facts.to_dict(),
        model=scorer.card.identity,
        backend=scorer.backend.describe,
        end=running.end,
        pooling=settings.pooling,
        dropped=running.end.dropped,
    )
    named = entry.source if isinstance(entry.source, str) and "://" not in entry.source else None
    yield ClipResult(path, None if source.facts.live else named, report)
    if interruption.came:
        raise KeyboardInterrupt


def _expected(facts: SourceFacts, policy: Policy) -> int | None:
    """How many results will come, for the progress bar; None where nobody knows."""
    if facts.frames is None or policy.fps is not None or policy.start is not None or policy.end is not None:
        return None
    return -(-facts.frames // policy.stride)
