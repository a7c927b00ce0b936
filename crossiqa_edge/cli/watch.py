"""``crossiqa watch``: a stream as it passes, in a live panel on a terminal, in JSON lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import click

from crossiqa_edge.cli.console import complain, ended_by_sigterm, stopped_by_signals
from crossiqa_edge.cli.options import model_options, policy_options, sampling_options
from crossiqa_edge.cli.score_run import in_mode, pictures_ahead, stdout
from crossiqa_edge.imaging.gather import Entry
from crossiqa_edge.report.records import JsonLinesWriter
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.runtime.select import AUTO
from crossiqa_edge.video.pipeline import Stream, stream
from crossiqa_edge.video.policy import Policy
from crossiqa_edge.video.results import FrameScore, GapEvent
from crossiqa_edge.video.rolling import Rolling
from crossiqa_edge.video.source import open_source

Show = Callable[[FrameScore | GapEvent], None]


@click.command()
@click.argument("source", metavar="SOURCE")
@click.option("--jsonl", is_flag=True, help="JSON lines, also on a terminal.")
@model_options
@sampling_options("frame")
@policy_options
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="For how long a lost live source is tried again.",
)
def command(
    source: str,
    jsonl: bool,
    model: str,
    backend: str,
    threads: int | None,
    sampling: str | None,
    views: int | None,
    policy: Policy,
    live: bool | None,
    hardware: str,
    patience: float,
) -> int:
    """Score a stream as it passes.

    SOURCE is camera:0, an rtsp://, http(s):// or udp:// address, - for a pipe, testpattern:, or a file. On a
    terminal a panel shows where the stream stands; in a pipe each frame is a line of JSON, and the last line
    is what it all came to.

    \b
    Exit codes:
      0    scored to the end
      1    scored, but something was lost or the source broke off
      2    nothing was scored
      130  interrupted; what was scored until then has been printed
    """
    rolling = Rolling()
    ahead = pictures_ahead([Entry(source, source, clip=True)])
    with (
        ended_by_sigterm(),
        Scorer.load(
            model, backend=backend, threads=threads, sampling=sampling, views=views, work=ahead
        ) as scorer,
    ):
        opened = open_source(source, start=policy.start, hardware=hardware, patience=patience)
        if backend == AUTO:  # now, and not at the end as `score` does: a stream may have none
            complain(f"{scorer.backend.describe}: {scorer.backend.reason}")
        running = stream(scorer, opened, in_mode(policy, live, opened.facts))
        with (
            closing(running),
            stopped_by_signals(running.stop) as interruption,
            _shown(running, rolling, scorer, lines=jsonl or not sys.stdout.isatty()) as show,
        ):
            for event in running:
                rolling.add(event)
                show(event)
    assert running.end is not None
    if not running.end.sound:
        complain(f"{running.facts.name}: {running.end.status}: {running.end.reason}")
    if interruption.came:
        raise KeyboardInterrupt
    if not rolling.scored:
        return 2
    return 0 if running.end.sound and not rolling.gaps else 1


@contextmanager
def _shown(running: Stream, rolling: Rolling, scorer: Scorer, *, lines: bool) -> Iterator[Show]:
    """What shows each result; at the end what it all came to, however that end came."""
    if lines:
        writer = JsonLinesWriter(stdout())
        yield lambda event: writer.frame(running.facts.name, event)
        writer.end(running.facts.name, _summary(running, rolling, scorer))
        return
    from rich.live import Live

    from crossiqa_edge.cli.watch_panel import Panel

    with Live(Panel(running.facts, rolling, scorer), refresh_per_second=8):
        yield lambda event: None


def _summary(running: Stream, rolling: Rolling, scorer: Scorer) -> dict[str, object]:
    end = running.end
    return {
        "end": None if end is None else {"status": end.status, "reason": end.reason},
        "model": scorer.card.identity,
        "backend": scorer.backend.describe,
        "source": running.facts.to_dict(),
        **rolling.to_dict(),
        # Results tell what was dropped before them; the stream's end, what was after the last one too.
        "dropped": rolling.dropped if end is None else end.dropped,
    }
